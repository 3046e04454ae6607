"""What is remembered of a target and of its look-alikes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tracker.memory import RATE, RIVALS, Memory


def unit(angle: float) -> np.ndarray:
    return np.float32([math.cos(angle), math.sin(angle)])


def test_the_first_look_counts_for_all_and_later_ones_for_half_of_it() -> None:
    memory = Memory(unit(0.0))
    memory.remember_target(unit(0.8))
    assert memory.similarity(unit(0.0)) == pytest.approx(1, abs=1e-5)
    assert memory.similarity(unit(0.8)) == pytest.approx((1 + math.cos(0.8)) / 2)
    memory.remember_target(unit(1.2))
    later = (1 - RATE) * unit(0.8) + RATE * unit(1.2)
    between = float(later @ unit(1.2) / np.linalg.norm(later))
    assert memory.similarity(unit(1.2)) == pytest.approx((between + math.cos(1.2)) / 2)


def test_memory_keeps_the_latest_rivals() -> None:
    unit_vectors = np.eye(64, dtype=np.float32)
    memory = Memory(unit_vectors[0])
    for vector in unit_vectors[1 : RIVALS + 9]:
        memory.remember_rivals([vector], target=unit_vectors[0])
    kept = [memory.rival_similarity(vector) for vector in unit_vectors]
    assert kept == [0.0] * 9 + [1.0] * RIVALS + [0.0] * (64 - RIVALS - 9)
    assert memory.similarity(unit_vectors[0]) == 1.0


def test_memory_keeps_rivals_but_not_the_target_itself() -> None:
    memory = Memory(unit(0.0))
    assert memory.rival_similarity(unit(1.0)) == -1
    memory.remember_rivals([unit(1.0), unit(0.1)], target=unit(0.2))
    assert memory.rival_similarity(unit(1.0)) == pytest.approx(1)
    assert memory.rival_similarity(unit(0.1)) < 0.9, "nearer to the exemplar than the target was"


def test_a_rival_that_is_only_similar_to_a_known_one_is_another() -> None:
    memory = Memory(unit(0.0))
    memory.remember_rivals([unit(1.5), unit(1.1)], target=unit(0.2))  # a cosine of .92
    assert memory.rival_similarity(unit(1.1)) == pytest.approx(1)


def test_a_rival_that_is_seen_again_and_again_displaces_no_other() -> None:
    memory = Memory(unit(0.0))
    memory.remember_rivals([unit(1.5)], target=unit(0.2))
    for number in range(2 * RIVALS):
        memory.remember_rivals([unit(0.8 + 0.001 * (number % 2))], target=unit(0.2))
    assert memory.rival_similarity(unit(1.5)) == pytest.approx(1)
    assert memory.rival_similarity(unit(0.8)) == pytest.approx(1)

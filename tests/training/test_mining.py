"""Mined confusions: by hand, and only at the end of a round."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tracker.training.mining import ConfusionMiner  # noqa: E402
from tracker.training.objective import Seen  # noqa: E402


def seen(anchor: list[list[float]], track: list[int], shown: list[list[float]], number: list[int]):
    unused = torch.zeros(0)
    return Seen(
        torch.tensor(anchor), torch.tensor(track), torch.tensor(shown), torch.tensor(number),
        unused, unused, unused,
    )  # fmt: skip


def test_the_nearest_other_object_is_found() -> None:
    miner, table = ConfusionMiner(5), torch.full((5,), -1)
    # track 0 looks like what track 3 showed; its own picture is nearer still, and not counted
    miner.add(seen([[1.0, 0.0]], [0], [[1.0, 0.0]], [0]))
    assert miner.found.tolist() == [-1] * 5
    miner.add(seen([[0.0, 1.0], [1.0, 0.0]], [2, 0], [[0.6, 0.8], [0.8, 0.6]], [4, 3]))
    assert table.tolist() == [-1] * 5  # not before the round is over
    assert miner.finish_round(table) == 2
    assert table.tolist() == [3, -1, 4, -1, -1]


def test_the_best_of_a_round_stays_and_the_next_round_begins_anew() -> None:
    miner, table = ConfusionMiner(4), torch.full((4,), -1)
    miner.add(seen([[1.0, 0.0]], [0], [[0.9, 0.1]], [1]))
    miner.add(seen([[0.0, 1.0]], [0], [[0.5, 0.5]], [2]))  # 0.5 is less alike than 0.9
    miner.finish_round(table)
    assert table[0] == 1
    miner.add(seen([[0.0, 1.0]], [0], [[0.0, 0.2]], [3]))
    miner.finish_round(table)
    assert table[0] == 2  # still in the queue, and nearest to the exemplar of this round
    assert miner.finish_round(table) == 0
    assert table[0] == 2


def test_queue_forgets_the_oldest() -> None:
    miner, table = ConfusionMiner(9, size=2), torch.full((9,), -1)
    for number, shown in ((5, [0.0, 1.0]), (6, [0.6, 0.8]), (7, [1.0, 0.0])):
        miner.add(seen([[0.0, 1.0]], [1], [shown], [number]))
    assert miner.numbers.tolist() == [6, 7]
    miner.finish_round(table)
    miner.add(seen([[1.0, 0.0]], [2], [[0.1, 0.0]], [8]))
    miner.finish_round(table)
    assert table[2] == 7


def test_what_is_hidden_is_not_mined() -> None:
    miner = ConfusionMiner(3)
    miner.add(seen([[1.0, 0.0]], [0], [[1.0, 0.0]], [-1]))
    miner.add(seen([[1.0, 0.0]], [0], [[0.6, 0.8]], [2]))
    confused = torch.full((3,), -1, dtype=torch.int64)
    assert miner.finish_round(confused) == 1
    assert confused.tolist() == [2, -1, -1]


def test_state_goes_into_a_checkpoint_and_back() -> None:
    miner = ConfusionMiner(4)
    miner.add(seen([[1.0, 0.0]], [0], [[0.9, 0.1]], [1]))
    other = ConfusionMiner(4)
    other.load_state_dict(miner.state_dict())
    tables = [torch.full((4,), -1) for _ in range(2)]
    for m, table in zip((miner, other), tables, strict=True):
        m.add(seen([[0.2, 1.0]], [3], [[0.1, 0.9]], [2]))
        m.add(seen([[0.0, 0.8]], [0], [[0.1, 0.9]], [2]))  # less alike than what was found before
        m.finish_round(table)
    assert tables[0].tolist() == tables[1].tolist() == [1, -1, -1, 2]

"""Later exemplars: what they are cut from, and that the first one keeps its share."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from tests.online.scripted import SPEC, ScriptedNetwork, response, scene, see_green
from tracker import Session, SiameseTracker
from tracker.exemplar import Exemplar, look_at_itself, taken_back
from tracker.geometry import context_side, iou
from tracker.levels import View
from tracker.results import State
from tracker.runtime import SearchOutput
from tracker.spec import BoxPolicy

LEARNS = dataclasses.replace(SPEC, online=BoxPolicy(size_rate=1.0, blend=0.4, refresh=5))
BOX = (300.0, 200.0, 60.0, 40.0)
VIEW = View(scene(BOX), fill=(90, 90, 90))


def wide(crop: np.ndarray) -> SearchOutput:
    """Sees the green rectangle a fifth wider than it is, a tenth lower, and shifted right."""
    output = see_green(crop)
    x1, y1, x2, y2 = (float(v) for v in output.boxes[0, :, 0, 0])
    cx, cy, w, h = (x1 + x2) / 2 + 4, (y1 + y2) / 2, (x2 - x1) * 1.2, (y2 - y1) * 0.9
    output.boxes[0] = np.float32([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])[:, None, None]
    return output


class Recording(ScriptedNetwork):
    """Remembers the boxes that exemplars were cut for, in crop pixels; each is a new embedding."""

    def embed(self, crops, boxes):  # type: ignore[no-untyped-def]
        self.__dict__.setdefault("embedded", []).append(np.array(boxes[0]))
        embedding, identity = super().embed(crops, boxes)
        return embedding + len(self.embedded) - 1, identity


@dataclasses.dataclass
class Asked(Recording):
    """Remembers the embeddings of its searches."""

    asked: list[np.ndarray] = dataclasses.field(default_factory=list)

    def search(self, embedding, crops):  # type: ignore[no-untyped-def]
        self.asked.append(embedding.copy())
        return super().search(embedding, crops)


def test_the_error_of_a_box_is_found_and_taken_back() -> None:
    network = ScriptedNetwork(wide)
    error = look_at_itself(network, np.zeros((1, 66, 4), np.float32), VIEW, BOX).error
    assert network.calls == [1] * 5
    assert error[2:] == pytest.approx((-np.log(1.2), -np.log(0.9)), abs=0.03)
    found = (BOX[0] - 6 + 4 / 1.55, BOX[1] + 2, 72.0, 36.0)
    assert float(iou(taken_back(found, error), BOX)) > 0.93


def test_only_the_cell_of_the_targets_middle_is_asked_and_one_failure_outvoted() -> None:
    failing = iter([False, True] + [False] * 3)

    def see_high(crop: np.ndarray) -> SearchOutput:  # a tenth of its height too high
        output = see_green(crop)
        x1, y1, x2, y2 = (float(v) for v in output.boxes[0, :, 0, 0])
        up, row, column = (y2 - y1) / 10, int((y1 + y2) // 32), int((x1 + x2) // 32)
        output.boxes[:] = np.float32([0, 0, 9, 9])[:, None, None]
        if not next(failing):
            output.boxes[0, :, row, column] = x1, y1 - up, x2, y2 - up
        return output

    network, (x, y, w, h) = ScriptedNetwork(see_high), BOX
    error = look_at_itself(network, np.zeros((1, 66, 4), np.float32), VIEW, BOX).error
    assert error == pytest.approx((0, 0.1, 0, 0), abs=0.02)
    assert taken_back((x, y - h / 10, w, h), error) == pytest.approx(BOX, abs=1)


def test_an_exemplar_says_where_in_its_crop_the_target_is() -> None:
    network = Recording(see_green, spec=LEARNS)
    Exemplar(network, VIEW, BOX)
    w, h = (side * 128 / context_side(*BOX[2:]) for side in BOX[2:])
    expected = (64 - w / 2, 64 - h / 2, 64 + w / 2, 64 + h / 2)
    assert network.embedded[0] == pytest.approx(expected, abs=0.01)  # type: ignore[attr-defined]


def test_a_box_that_was_not_understood_is_hardly_changed() -> None:
    for corners in ((96, 96, 160, 160), (0, 0, 256, 256), (200, 200, 256, 256)):
        network = ScriptedNetwork(lambda _crop, corners=corners: response(0.01, corners))
        error = look_at_itself(network, np.zeros((1, 66, 4), np.float32), VIEW, BOX).error
        assert np.abs(error[:2]).max() <= 0.15 and np.abs(error[2:]).max() <= 0.3


def test_later_exemplars_do_not_add_error_to_error() -> None:
    network = Recording(wide, spec=LEARNS)
    tracker = SiameseTracker(network)
    tracker.init(scene(BOX), BOX)
    for _ in range(60):
        tracker.update(scene(BOX))
    first, *later = network.embedded  # type: ignore[attr-defined]
    assert len(later) == 60 // 5
    shapes = [(b[2] - b[0]) / (b[3] - b[1]) for b in later]
    assert shapes == pytest.approx([(first[2] - first[0]) / (first[3] - first[1])] * 12, rel=0.05)


def test_the_first_exemplar_keeps_its_share() -> None:
    network = Recording(see_green, spec=LEARNS)
    exemplar = Exemplar(network, VIEW, BOX)
    assert not exemplar.due(LEARNS)
    for _ in range(40):
        exemplar.refresh(network, VIEW, BOX)
    latest = len(network.embedded) - 1  # type: ignore[attr-defined]
    assert float(exemplar.embedding.max()) < 0.4 * latest, "embedding 0, the first, weighs .6"


def test_a_later_exemplar_is_taken_only_after_an_unbroken_run_of_sure_frames() -> None:
    network = Recording(see_green, spec=LEARNS)
    tracker = SiameseTracker(network)
    tracker.init(scene(BOX), BOX)
    for _ in range(5):
        for _ in range(4):
            tracker.update(scene(BOX))
        tracker.update(scene(None))
    assert len(network.embedded) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(("identity", "taken"), [(0.95, 5), (0.8, 0)])
def test_a_look_that_is_less_alike_than_usual_is_tracked_but_not_learned(
    identity: float, taken: int
) -> None:
    looks = itertools.cycle([1.0, 1.0, 1.0, 1.0, identity])

    def see(crop: np.ndarray) -> SearchOutput:
        output, cosine = see_green(crop), next(looks) if shown else 1.0
        assert output.identity is not None
        output.identity[:, 0], output.identity[:, 1] = cosine, np.sqrt(1 - cosine**2)
        return output

    shown = False
    network = Recording(see, spec=LEARNS)
    tracker = SiameseTracker(network)
    tracker.init(scene(BOX), BOX)
    shown = True
    states = {tracker.update(scene(BOX)).state for _ in range(5 * 5)}
    assert states == {State.TRACKING}
    assert len(network.embedded) - 1 == taken  # type: ignore[attr-defined]


def test_without_a_share_for_later_exemplars_nothing_is_measured() -> None:
    network = Recording(see_green)
    tracker = SiameseTracker(network)
    tracker.init(scene(BOX), BOX)
    for _ in range(60):
        tracker.update(scene(BOX))
    assert network.calls == [1] * 60 and len(network.embedded) == 1  # type: ignore[attr-defined]


def test_a_lost_target_is_compared_with_its_first_exemplar_alone() -> None:
    network = Asked(see_green, spec=LEARNS)
    tracker, shares = SiameseTracker(network), []
    tracker.init(scene(BOX), BOX)
    for shown in [BOX] * 8 + [None] * 8 + [BOX] * 8:
        result = tracker.update(scene(shown))
        shares.append(float(network.asked[-1].max()))  # embedding 0 is the first
    assert result.state is State.TRACKING
    assert shares[7] > 0 and shares[15] == 0 and shares[23] > 0


def test_the_targets_of_a_batch_are_searched_with_their_latest_exemplars() -> None:
    network = Asked(see_green, spec=LEARNS)
    session = Session(network)
    for _ in range(2):
        session.add(scene(BOX), BOX)
    for _ in range(3 * 5):
        wanted = [target.exemplar.embedding for target in session._targets.values()]
        session.update(scene(BOX))
        assert np.array_equal(network.asked[-1], np.concatenate(wanted))
    assert network.asked[-1].min() > network.asked[2].max()

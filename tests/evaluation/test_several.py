"""Ten targets as the benchmark times them: in a session and each with a tracker."""

import numpy as np
import pytest

from tests.online.scripted import ScriptedNetwork, scene, see_green
from tracker import Session, SiameseTracker
from tracker.evaluation import several
from tracker.geometry import iou


@pytest.mark.parametrize(("kind", "calls"), [("Session10", [10, 10]), ("Trackers10", [1] * 20)])
def test_ten_targets_are_looked_for_in_one_batch_or_one_by_one(
    monkeypatch: pytest.MonkeyPatch, kind: str, calls: list[int]
) -> None:
    network = ScriptedNetwork(see_green)
    monkeypatch.setattr(several, "Session", lambda: Session(network))
    monkeypatch.setattr(several, "SiameseTracker", lambda: SiameseTracker(network))
    box = (300.0, 200.0, 60.0, 40.0)
    tracker = getattr(several, kind)()
    tracker.init(scene(box), box)
    tracker.init(scene(box), box)  # the benchmark starts anew to watch memory
    results = [tracker.update(scene(box)) for _ in range(2)]
    assert network.calls == calls
    assert all(float(iou(r.box, box)) > 0.8 for r in results)


def test_the_starts_differ_and_stay_near() -> None:
    box = (300.0, 200.0, 60.0, 40.0)
    found = several.starts(box)
    assert len(set(found)) == 10
    assert np.min([iou(f, box) for f in found]) > 0.85

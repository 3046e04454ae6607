"""What is measured while training, and tracking with weights that are not exported."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from tests.training.data import tiny_kestrel, tiny_sampler  # noqa: E402
from tracker import SiameseTracker, UserError  # noqa: E402
from tracker.training import train_cli, validation  # noqa: E402
from tracker.training.checkpoint import beginning, save_checkpoint  # noqa: E402
from tracker.training.models import make_network  # noqa: E402
from tracker.training.objective import LossOptions  # noqa: E402
from tracker.training.pair_options import PairOptions  # noqa: E402
from tracker.training.torch_network import TorchNetwork  # noqa: E402
from tracker.training.toy import FRAMES, OBJECTS, render_clip, toy_source  # noqa: E402
from tracker.training.tracks import read_image  # noqa: E402
from tracker.training.train_options import build_parser  # noqa: E402
from tracker.training.validation import (  # noqa: E402
    ClipValidation,
    PairValidation,
    Validations,
    best_overlap,
    clip_names,
)

SMALL = {"channels": 8, "identity_channels": 6, "tower_depth": 1}


def test_pairs_are_measured_and_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "BATCH", 4)
    measure = PairValidation(tiny_sampler(tracks=4), 6, LossOptions())
    assert [len(batch["positive"]) for batch in measure.batches] == [4, 2]
    network = tiny_kestrel().eval()
    first = measure(network)
    assert first.keys() == {"loss", "iou", "identity_auc"}
    assert measure(network) == first
    assert 0 <= first["iou"] <= 1
    assert 0 <= first["identity_auc"] <= 1
    other = measure(tiny_kestrel(seed=9))
    assert other["loss"] != first["loss"]


def test_overlap_is_of_the_pairs_that_show_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found where another object is shown says nothing of tracking."""

    def overlap(score: torch.Tensor, boxes: torch.Tensor, batch: dict) -> torch.Tensor:
        assert 0 < batch["positive"].sum() < len(score)
        return torch.where(batch["positive"], 0.75, 0.0)

    monkeypatch.setattr(validation, "best_overlap", overlap)
    measure = PairValidation(tiny_sampler(tracks=4), 12, LossOptions())
    assert measure(tiny_kestrel().eval())["iou"] == 0.75


def test_best_overlap_by_hand() -> None:
    score = torch.tensor([[[0.0, 5.0], [1.0, 2.0]]])
    boxes = torch.zeros(1, 4, 2, 2)
    boxes[0, :, 0, 1] = torch.tensor([1.0, 1.0, 3.0, 3.0])
    truth = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    assert best_overlap(score, boxes, {"search_box": truth}).tolist() == pytest.approx([1 / 7])


def test_siamfc_has_a_loss_only() -> None:
    network = make_network("siamfc").eval()
    sampler = tiny_sampler(exemplar=127, search=255)
    assert PairValidation(sampler, 2, LossOptions(radius=16.0))(network).keys() == {"loss"}


@pytest.mark.parametrize("name", ["kestrel", "siamfc"])
def test_tracks_without_an_export(name: str) -> None:
    network = tiny_kestrel() if name == "kestrel" else make_network(name)
    frames, boxes = render_clip(3, seed=1)
    tracker = SiameseTracker(TorchNetwork(network))
    tracker.init(frames[0], boxes[-1][0].tolist())
    for frame in frames[1:]:
        result = tracker.update(frame)
        assert np.isfinite(result.box).all()
        assert 0 <= result.score <= 1
    assert not network.training


def test_clip_is_scored_by_overlap() -> None:
    frames, _ = render_clip(4, seed=2)
    still = [frames[0]] * 4
    truth = np.tile([100.0, 80.0, 60.0, 50.0], (4, 1))
    figures = ClipValidation("a", lambda: still, truth)(tiny_kestrel())
    assert figures.keys() == {"auc a"}
    # the first box is given and counts as found; a wild network may lose the rest
    assert 0.2 < figures["auc a"] <= 1


def test_several_clips_have_a_mean() -> None:
    parts = [lambda _, k=k, v=v: {f"auc {k}": v} for k, v in (("a", 0.2), ("b", 0.6))]
    parts.append(lambda _: {"loss": 3.0})
    figures = Validations(parts)(nn.Identity())
    assert figures == {"auc a": 0.2, "auc b": 0.6, "loss": 3.0, "auc": pytest.approx(0.4)}


def test_clips_of_one_name_are_told_apart() -> None:
    paths = [Path("cam1/video.mp4"), Path("cam2/../cam2/video.avi"), Path("cam1/other.mp4")]
    assert clip_names(paths) == ["cam1/video", "cam2/video", "other"]
    for again in ("cam1/other.mp4", "cam1/other.avi", "far/cam1/other.mp4"):
        with pytest.raises(UserError, match="two clips of --val-clip would be called cam1/other"):
            clip_names([*paths, Path(again)])


def write_clip(path: Path) -> str:
    """A video of 3 frames with its annotation, and the lines of that."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (320, 240))
    frames, boxes = render_clip(3, seed=4)
    for frame in frames:
        writer.write(frame)
    writer.release()
    lines = "\n".join(",".join(f"{v:.1f}" for v in b) for b in boxes[-1])
    path.with_suffix(".txt").write_text(lines)
    return lines


def test_clip_files(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    with pytest.raises(UserError, match="there is no clip"):
        ClipValidation.open(path)
    lines = write_clip(path)
    path.with_suffix(".txt").unlink()
    with pytest.raises(UserError, match=r"put clip\.txt or clip\.csv beside it"):
        ClipValidation.open(path)
    path.with_suffix(".txt").write_text("nan,nan,nan,nan\n1,2,3,4\n")
    with pytest.raises(UserError, match="first line has no box"):
        ClipValidation.open(path)
    path.with_suffix(".txt").write_text("900,500,20,20\n")
    with pytest.raises(UserError, match=r"cannot start from its first line: the box 900,500,20,20"):
        ClipValidation.open(path)
    path.with_suffix(".txt").write_text(lines)
    assert ClipValidation.open(path)(tiny_kestrel()).keys() == {"auc clip"}
    assert ClipValidation.open(path, "a/clip").name == "a/clip"
    path.with_suffix(".txt").write_text(lines + "\n1,2,30,40")
    with pytest.raises(UserError, match="the video ends after 3 frames, its annotation needs 4"):
        ClipValidation.open(path)


@pytest.mark.parametrize("call", [("--init", "{run}/checkpoint.pt"), ("--resume",)])
def test_clips_are_tracked_with_the_parameters_of_the_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: tuple[str, ...]
) -> None:
    record = {"settings": SMALL, "tuned": {"online": {"window": 0.123}}}
    content = beginning("kestrel", make_network("kestrel", **SMALL).state_dict(), record)
    save_checkpoint(tmp_path / "checkpoint.pt", content)
    write_clip(tmp_path / "clip.avi")
    arguments = [a.format(run=tmp_path) for a in call]
    arguments += ["--out", str(tmp_path), "--val-clip", str(tmp_path / "clip.avi")]
    args = build_parser().parse_args(arguments)
    network, settings, tuned = train_cli.build_network(args)
    assert settings == SMALL
    measure = train_cli.validations(args, PairOptions(128, 224), LossOptions(), network, tuned)
    assert measure is not None
    windows = []

    class Watched(SiameseTracker):
        def __init__(self, network: TorchNetwork) -> None:
            windows.append(network.spec.online.window)
            super().__init__(network)  # type: ignore[arg-type]

    monkeypatch.setattr(validation, "SiameseTracker", Watched)
    assert measure(network).keys() == {"auc clip"}
    assert windows == [0.123]


def test_rendered_boxes_hold_their_shapes() -> None:
    """The box of the object in front is where the picture differs from one without it."""
    for seed in range(3):
        frames, boxes = render_clip(6, seed=seed, step=4.0)
        again, _ = render_clip(6, seed=seed, step=4.0)
        assert all(np.array_equal(a, b) for a, b in zip(frames, again, strict=True))
        assert len(boxes) == OBJECTS
        front = boxes[-1]
        assert (front[:, 2:] > 15).all()
        moved = np.abs(np.diff(front[:, :2], axis=0)).max()
        assert 1 < moved < 60
    assert not np.array_equal(frames[0], frames[3])


def test_toy_source() -> None:
    source = toy_source(clips=2)
    assert len(source.tracks) == 2 * OBJECTS
    assert len(source.tracks[0].frames) == len(source.tracks[0].boxes) == FRAMES
    assert read_image(source.tracks[0].frames[1]).shape == (240, 320, 3)
    x, y, w, h = source.tracks[2].boxes[0]  # in front: its colours fill the middle of its box
    image = read_image(source.tracks[2].frames[0]).astype(int)
    middle = image[max(int(y + h / 2) - 2, 0) : int(y + h / 2) + 2, int(x + w / 2)]
    assert middle.size > 0

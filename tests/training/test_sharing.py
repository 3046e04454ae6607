"""Where a target must not be seen: in its own surroundings, and in negative pairs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from tracker.training.pair_options import PairOptions
from tracker.training.pairs import Pair, PairSampler
from tracker.training.sharing import box_in, without_box
from tracker.training.sources import open_source
from tracker.training.tracks import EncodedFrames, Film, Source, Track

COLOURS = ((0, 0, 255), (0, 255, 0), (255, 0, 0))
PLAIN = PairOptions(
    128, 224, negative=0.5, appearance=0, grey=0, distractor=0, occluder=0, hidden=0
)


def scene(boxes: list[tuple[int, int]], width: int = 90, height: int = 90) -> np.ndarray:
    """Squares of 30 pixels before grey, each of its colour."""
    image = np.full((height, width, 3), 128, np.uint8)
    for (x, y), colour in zip(boxes, COLOURS, strict=False):
        image[y : y + 30, x : x + 30] = colour
    return image


def clip(colour: int, frames: int = 4) -> Track:
    parts = []
    for index in range(frames):
        image = np.full((90, 90, 3), 128, np.uint8)
        image[30 + index : 60 + index, 30:60] = COLOURS[colour]
        parts.append(cv2.imencode(".png", image)[1].ravel())
    boxes = np.array([[30, 30 + index, 30, 30] for index in range(frames)], np.float32)
    return Track(EncodedFrames(parts, "clip"), boxes)


def still(path: Path, place: tuple[int, int], others: tuple[np.ndarray, ...] = ()) -> Track:
    return Track([path], np.array([[*place, 30, 30]], np.float32), "kind", (), others)


def pairs(tracks: list[Track], count: int = 200) -> list[Pair]:
    sampler = PairSampler([Source("made", tuple(tracks))], PLAIN, 0)
    return [sampler.pair(index) for index in range(count)]


def shows_target_elsewhere(pair: Pair) -> bool:
    """Whether the target's colour is in the search crop where the label says that it is not."""
    like = np.abs(pair.search.astype(int) - COLOURS[pair.track]).max(2) < 40
    if pair.positive:
        x1, y1, x2, y2 = np.clip(pair.search_box.round().astype(int) + [-4, -4, 4, 4], 0, None)
        like[y1:y2, x1:x2] = False
    return bool(like.mean() > 0.005)


@pytest.mark.parametrize("clips", [1, 2, 3])
def test_few_clips_do_not_show_the_target_where_it_is_not(clips: int) -> None:
    found = pairs([clip(number) for number in range(clips)])
    assert [shows_target_elsewhere(pair) for pair in found].count(True) == 0
    assert all(pair.positive for pair in found) == (clips == 1)


def test_objects_of_one_picture(tmp_path: Path) -> None:
    """Neighbours are no negatives of each other; what stands far away in the picture is.

    A search crop of 224 pixels shows up to (112 + 64) / 128 * 60 = 82 pixels of these pictures to
    each side, and 118 where it is coarser and turned: the second object begins at 105.
    """
    places = [(20, 40), (140, 40), (400, 40)]
    cv2.imwrite(str(tmp_path / "a.png"), scene(places, 450, 120))
    found = pairs([still(tmp_path / "a.png", place) for place in places])
    assert [shows_target_elsewhere(pair) for pair in found].count(True) == 0
    assert {(p.track, p.shown) for p in found if not p.positive} == {(0, 2), (1, 2), (2, 0), (2, 1)}


def test_a_crowd_whose_pictures_are_copies(tmp_path: Path) -> None:
    """Each individual has a folder of its own, and the boxes of the others in each frame."""
    places = [(20, 40), (70, 40)]
    tracks = []
    for number, place in enumerate(places):
        (tmp_path / str(number)).mkdir()
        path = tmp_path / str(number) / "1.png"
        cv2.imwrite(str(path), scene(places, 120, 120))
        others = np.array([[*places[1 - number], 30, 30]], np.float32)
        tracks.append(still(path, place, (others,)))
    found = pairs([*tracks, clip(2)])
    assert [shows_target_elsewhere(pair) for pair in found].count(True) == 0
    assert {(p.track, p.shown) for p in found if not p.positive} == {(0, 2), (1, 2), (2, 0), (2, 1)}


def test_box_in_a_frame_of_another_track() -> None:
    memory = clip(0)
    absent = memory.boxes.copy()
    absent[2] = np.nan
    beside = Track(memory.frames, absent)
    assert box_in(memory, beside, 1).tolist() == [30, 31, 30, 30]  # type: ignore[union-attr]
    assert box_in(beside, memory, 2) is None
    assert box_in(memory, clip(0), 1) is None


SIDE_BY_SIDE = [[(60 + 2 * index, 80), (120 + 2 * index, 80)] for index in range(8)]


def shares_of_pairs(source: Source) -> tuple[float, float]:
    """Shares of pairs with the target where it is not, and of negatives; clips blue, red, ..."""
    colours = dict(enumerate((2, 0)))
    sampler = PairSampler([source], PLAIN, 0)
    found = [sampler.pair(index) for index in range(100)]
    for pair in found:
        object.__setattr__(pair, "track", colours[pair.track])
    return (
        float(np.mean([shows_target_elsewhere(pair) for pair in found])),
        float(np.mean([not pair.positive for pair in found])),
    )


def test_two_objects_of_one_video_under_two_names(tmp_path: Path) -> None:
    """Each name has its own crops of the frames; what stands beside the one is the other."""
    code = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(tmp_path / "red.avi"), code, 25, (480, 200))
    for (x, y), (other, _) in SIDE_BY_SIDE:
        image = np.full((200, 480, 3), 128, np.uint8)
        image[y : y + 30, x : x + 30] = COLOURS[0]
        image[y : y + 30, other : other + 30] = COLOURS[2]
        writer.write(image)
    writer.release()
    (tmp_path / "blue.avi").symlink_to("red.avi")
    for number, name in enumerate(("red", "blue")):
        lines = [f"{x},{y},30,30" for x, y in (places[number] for places in SIDE_BY_SIDE)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    source = open_source(f"videos:{tmp_path}")
    blue, red = source.tracks
    crop = cv2.imdecode(red.frames[3].data, 1)
    x, y, w, h = box_in(blue, red, 3)  # type: ignore[misc]
    assert (abs(crop[int(y) + 4 : int(y + h) - 4, int(x) + 4 : int(x + w) - 4].astype(int)
                - COLOURS[2]) < 40).all()  # fmt: skip
    assert shares_of_pairs(source) == (0, 0)


def test_the_box_of_another_in_a_crop_of_fewer_pixels() -> None:
    """A large target is kept in fewer pixels; the crop of another begins elsewhere."""
    whole = np.array([[[100.0, 50, 40, 20]], [[200, 80, 60, 60]]], np.float32)
    frames = [EncodedFrames([np.ones(1, np.uint8)], "a") for _ in range(2)]
    kept = np.array([[[20.0, 10, 10, 5]], [[30, 31, 60, 60]]], np.float32)
    small, large = (
        Track(f, k, film=Film("a.mp4", w)) for f, k, w in zip(frames, kept, whole, strict=True)
    )
    assert box_in(large, small, 0).tolist() == [45, 17.5, 15, 15]  # type: ignore[union-attr]
    assert box_in(small, large, 0).tolist() == [-70, 1, 40, 20]  # type: ignore[union-attr]
    other = Track(frames[1], kept[1], film=Film("b.mp4", whole[1]))
    assert box_in(small, other, 0) is None
    longer = Track(EncodedFrames([], "a"), kept[0][:0], film=Film("a.mp4", whole[0][:0]))
    assert box_in(longer, small, 0) is None  # annotated to an earlier frame


def test_two_objects_of_pictures_that_are_linked(tmp_path: Path) -> None:
    for number, name in enumerate(("red", "blue")):
        (tmp_path / name).mkdir()
        lines = [f"{x},{y},30,30" for x, y in (places[number] for places in SIDE_BY_SIDE)]
        (tmp_path / name / "groundtruth.txt").write_text("\n".join(lines))
    for index, (first, second) in enumerate(SIDE_BY_SIDE):
        image = scene([first, (0, 0), second], 480, 200)
        image[:30, :30] = 128
        cv2.imwrite(str(tmp_path / "red" / f"{index}.png"), image)
        (tmp_path / "blue" / f"{index}.png").symlink_to(f"../red/{index}.png")
    assert shares_of_pairs(open_source(f"got10k:{tmp_path}")) == (0, 0)


def test_a_picture_without_its_target() -> None:
    image = scene([(50, 10)], 200, 100)
    rest = without_box(image, np.array([50, 10, 30, 30], np.float32))
    assert rest.shape == (100, 120, 3)
    assert (rest == 128).all()
    whole = without_box(image, np.array([-5, -5, 300, 300], np.float32))
    assert whole.shape == image.shape and (whole == whole[0, 0]).all()

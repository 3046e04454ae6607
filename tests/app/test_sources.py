"""Every kind of source delivers the right frames, and says what is wrong in one sentence."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.app import scene
from tests.app.scene import read_all
from tracker.app.frame_source import usable_fps
from tracker.app.origin import _instead_of
from tracker.app.pixels import PixelReader
from tracker.app.sources import open_source
from tracker.errors import UserError
from tracker.frames import natural_order


def test_a_folder_is_read_in_natural_order_and_may_seek(tmp_path) -> None:
    for index in (1, 2, 10, 9):
        cv2.imwrite(str(tmp_path / f"ü {index}.png"), scene.picture(index))
    (tmp_path / "notes.txt").write_text("not a frame")
    source = open_source(str(tmp_path), pytest.fail, fps=10)
    frames = read_all(source)
    assert [scene.number_of(f.image) for f in frames] == [1, 2, 9, 10]
    assert [f.timestamp for f in frames] == [0, 0.1, 0.2, 0.3]
    source.seek(2)
    assert scene.number_of(source.read().image) == 9


def test_a_glob_of_images_and_a_single_image_are_sources(tmp_path) -> None:
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{'ab'[index % 2]}{index}.jpg"), scene.picture(index))
    found = read_all(open_source(str(tmp_path / "b*.jpg"), pytest.fail))
    assert [scene.number_of(f.image) for f in found] == [1, 3]
    assert len(read_all(open_source(str(tmp_path / "a0.jpg"), pytest.fail))) == 1


def test_the_pages_of_a_tiff_are_frames(tmp_path) -> None:
    path = tmp_path / "stäck.tif"
    assert cv2.imwritemulti(str(path), [scene.picture(index) for index in range(20)])
    source = open_source(str(path), pytest.fail, fps=10)
    assert (source.frame_count, source.name, source.can_seek) == (20, "stäck", True)
    assert [scene.number_of(f.image) for f in read_all(source)] == list(range(20))
    for index in (13, 14, 2, 19):
        source.seek(index)
        assert scene.number_of(source.read().image) == index


def test_deep_grey_pages_are_read_too(tmp_path) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint16) << 8, (16, 1))
    assert cv2.imwritemulti(str(tmp_path / "a.tif"), [grey, grey])
    frames = read_all(open_source(str(tmp_path / "a.tif"), pytest.fail))
    assert len(frames) == 2 and (frames[1].image[:, :, 0] == grey >> 8).all()


def test_of_tiffs_with_pages_in_a_folder_the_first_pages_are_used_and_that_is_said(
    tmp_path,
) -> None:
    cv2.imwrite(str(tmp_path / "0.tif"), scene.picture(0))
    for first in (1, 2):
        pages = [scene.picture(index) for index in (first, 8, 9)]
        assert cv2.imwritemulti(str(tmp_path / f"{first}.tif"), pages)
    notes = []
    frames = read_all(open_source(str(tmp_path), notes.append))
    assert [scene.number_of(f.image) for f in frames] == [0, 1, 2]
    assert len(notes) == 1 and "1.tif holds 3 pictures, of which only the first" in notes[0]


@pytest.mark.skipif(not hasattr(cv2, "Animation"), reason="this OpenCV knows no animations")
def test_an_animation_of_which_one_picture_is_used_is_named(tmp_path) -> None:
    animation = cv2.Animation()
    animation.frames = [scene.picture(index) for index in range(5)]
    animation.durations = np.full(5, 100)
    assert cv2.imwriteanimation(str(tmp_path / "a.webp"), animation)
    notes = []
    source = open_source(str(tmp_path / "a.webp"), notes.append)
    assert len(read_all(source)) == 1
    assert len(notes) == 1 and "a.webp holds 5 pictures, of which only the first" in notes[0]


def test_damaged_images_are_left_out_by_name_and_the_rest_keeps_its_numbers(tmp_path) -> None:
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), scene.picture(index))
    (tmp_path / "2.png").write_bytes((tmp_path / "2.png").read_bytes()[:60])
    notes = []
    frames = read_all(open_source(str(tmp_path), notes.append))
    assert [f.index for f in frames] == [0, 1, 3]
    assert len(notes) == 1 and "2.png" in notes[0] and "frame 2" in notes[0]


def test_a_change_of_size_is_scaled_back_and_said_once(tmp_path) -> None:
    sizes = [(64, 48), (64, 48), (128, 96), (128, 96), (64, 48)]
    for index, (w, h) in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((h, w, 3), 10 * index, np.uint8))
    notes = []
    frames = read_all(open_source(str(tmp_path), notes.append))
    assert {f.image.shape for f in frames} == {(48, 64, 3)}
    assert [int(f.image[20, 20, 0]) for f in frames] == [0, 10, 20, 30, 40]
    assert len(notes) == 1 and "128 x 96" in notes[0] and "64 x 48" in notes[0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (241, 321), (33, 2000)])
def test_odd_sizes_come_through(tmp_path, shape) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    (frame,) = read_all(open_source(str(tmp_path / "a.png"), pytest.fail))
    np.testing.assert_array_equal(frame.image, image)


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda g: g, lambda g: g),
        (lambda g: g.astype(np.uint16) << 8, lambda g: g),
        (lambda g: np.dstack([g, g, g, 255 - g]), lambda g: g),
        (lambda g: np.dstack([g, g, g]).astype(np.uint16) * 257, lambda g: g),
    ],
    ids=["grey", "16-bit grey", "alpha", "16-bit colour"],
)
def test_png_of_any_depth_and_channels_becomes_bgr(tmp_path, make, expected) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    cv2.imwrite(str(tmp_path / "a.png"), make(grey))
    (frame,) = read_all(open_source(str(tmp_path), pytest.fail))
    assert frame.image.dtype == np.uint8 and frame.image.shape == (16, 256, 3)
    for channel in range(3):
        np.testing.assert_array_equal(frame.image[:, :, channel], expected(grey))


def test_float_pictures_do_not_flicker() -> None:
    """A highlight in one of them does not make it another unit."""
    reader = PixelReader()
    means = [reader(np.float32([[0.5, top]])).mean() for top in (1.4, 1.6, 1.4)]
    assert np.ptp(means) == 0 and means[0] > 150
    assert [reader(np.float32([[100, 200]])).mean() for _ in range(2)] == [150, 150]


def test_twelve_bits_in_sixteen_are_not_left_black_and_do_not_flicker() -> None:
    reader = PixelReader()
    bright = reader(np.full((4, 4), 4095, np.uint16))
    dark = reader(np.full((4, 4), 160, np.uint16))
    assert bright.max() == 255 and dark.max() == 160 >> 4


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_deep_pictures_of_which_few_levels_are_left_are_named_once(tmp_path, ending) -> None:
    """Raw thermal: a person is some hundred of 65536 values."""
    flat = np.full((16, 1020), 7000, np.uint16)
    for index, pixels in enumerate([flat, flat + np.arange(1020, dtype=np.uint16), flat]):
        cv2.imwrite(str(tmp_path / f"{index}.{ending}"), pixels)
    notes = []
    frames = read_all(open_source(str(tmp_path), notes.append))
    levels = len(np.unique(frames[1].image))
    assert levels < 20 and len(notes) == 1
    assert f"7000 to 8019 in the first, become {levels} of 256 levels" in notes[0]
    assert notes[0].endswith("stretch them to 8 bits before: (value - 7000) * 255 / 1019")


def test_deep_pictures_of_many_levels_and_flat_ones_need_no_note() -> None:
    reader = PixelReader("a", pytest.fail)
    wide = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    for pixels in (np.zeros((4, 4), np.uint8), np.full((4, 4), 900, np.uint16), wide, wide // 999):
        reader(pixels)


def test_deep_pictures_of_few_values_that_are_all_kept_need_no_note() -> None:
    """Masks and drawings: nothing is lost of them."""
    PixelReader("a", pytest.fail)(np.array([[0, 30000], [65535, 0]], np.uint16))


@given(
    hnp.arrays(
        dtype=st.sampled_from(
            [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64, bool]
        ),
        shape=st.one_of(
            st.tuples(st.integers(1, 9), st.integers(1, 9)),
            st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4])),
        ),
    )
)
@settings(max_examples=150, deadline=None)
def test_any_array_that_is_a_picture_becomes_bgr(pixels) -> None:
    image = PixelReader()(pixels)
    assert image.dtype == np.uint8 and image.shape == (*pixels.shape[:2], 3)
    assert image.flags.c_contiguous


@pytest.mark.parametrize("shape", [(0, 4, 3), (4,), (4, 4, 2), (2, 4, 4, 3)])
def test_what_is_no_picture_is_refused(shape) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        PixelReader()(np.zeros(shape, np.uint8))


def put(folder, name, data=b""):
    (folder / name).write_bytes(data)
    return str(folder / name)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda d: str(d / "none.mp4"), "there is no file or folder"),
        (lambda d: put(d, "a.mp4"), "is an empty file"),
        (lambda d: put(d, "a.mp4", b"words, not pictures\n" * 100), "cannot be read as a"),
        (lambda d: put(d, "a.avi", b"RIFF\xff\xff\xff\xffAVI LIST"), "cannot be read as a video"),
        (lambda d: str(d), "holds no images; it has no files at all"),
        (lambda d: str(Path(put(d, "a.txt")).parent), "holds no images, only 1 other files"),
        (lambda d: str(d / "*.png"), "nothing matches"),
        (lambda d: put(d, "a.mp4")[:-5] + put(d, "b.mp4")[-5:-5] + "*.mp4", "matches 2 files"),
        (lambda d: put(d, "a.png", b"no png"), "none of the 1 images"),
        (lambda d: "http://127.0.0.1:9/clip.mp4", "cannot be opened"),
        (lambda d: "http://127.0.0.1:9/cl\udce9p.mp4", "cannot be opened"),
        (lambda d: "a" * 300, "File name too long; give a shorter name"),
        (lambda d: "250", "camera 250 cannot be opened"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path, make, said) -> None:
    with pytest.raises(UserError, match=r".+") as caught:
        source = open_source(make(tmp_path), lambda text: None)
        source.read()
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_or_a_camera_given_as_a_file_is_named(tmp_path, monkeypatch) -> None:
    os.mkfifo(tmp_path / "pipe.ts")
    with pytest.raises(UserError, match=r"pipe\.ts is no file but a pipe .*--video - < .*pipe\.ts"):
        open_source(str(tmp_path / "pipe.ts"), pytest.fail)
    assert "--camera 3" in _instead_of(Path("/dev/video3"))
    (tmp_path / "usb-Camera-index0").symlink_to("/dev/video3")
    assert "--camera 3" in _instead_of(tmp_path / "usb-Camera-index0")


def test_natural_order_puts_2_before_10() -> None:
    names = ["10.jpg", "2.jpg", "a.jpg", "1b.jpg", "1.jpg", "B2.jpg", "b10.jpg"]
    ordered = [p.name for p in sorted(map(Path, names), key=natural_order)]
    assert ordered == ["1.jpg", "1b.jpg", "2.jpg", "10.jpg", "a.jpg", "B2.jpg", "b10.jpg"]
    folders = [Path(f"clip/{part}/{n}.jpg") for part in (10, 2, 1) for n in (10, 9)]
    ordered = [str(p) for p in sorted(folders, key=natural_order)]
    assert ordered == [f"clip/{part}/{n}.jpg" for part in (1, 2, 10) for n in (9, 10)]


@pytest.mark.parametrize("value, fps", [(29.97, 29.97), (0, 30), (float("nan"), 30), (90000, 30)])
def test_nonsense_frame_rates_become_30(value, fps) -> None:
    assert usable_fps(value) == fps

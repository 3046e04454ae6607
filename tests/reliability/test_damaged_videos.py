"""Videos as they should not be: each gives its good frames, then one sentence, and never a crash.

Decoding runs in a process of its own, because a decoder that crashes takes its process along.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.app import scene
from tests.reliability.checks import effort
from tracker.app import cli
from tracker.app.sources import open_source
from tracker.assets import sample_clip
from tracker.geometry import iou

TESTS = Path(__file__).resolve().parents[1]
READ = """
import json, sys
import cv2
cv2.setNumThreads(1)
from tracker.app.decoder_log import DecoderLog
from tracker.app.sources import open_source
from tracker.errors import UserError
answers = []
with DecoderLog() as log:
    for path in sys.argv[1:]:
        said, frames, sizes, times, numbers = [], 0, set(), [], []
        try:
            source = open_source(path, said.append, log=log)
            while (frame := source.read()) is not None:
                frames += 1
                sizes.add(frame.image.shape)
                times.append(frame.timestamp)
                numbers.append(frame.index)
            source.close()
        except UserError as error:
            said.append("error: " + str(error))
        answers.append({"frames": frames, "sizes": len(sizes), "said": said, "times": times,
                        "numbers": numbers})
print(json.dumps(answers))
"""


def read(*paths: Path) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths)], capture_output=True, text=True,
        errors="replace", timeout=300, check=False, cwd=TESTS.parent,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])  # no crash, no traceback
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "mp4v")]
)
def test_damage_at_random_places(tmp_path: Path, suffix: str, codec: str) -> None:
    whole = scene.write_clip(tmp_path / f"whole{suffix}", 40, codec=codec)
    content, rng, paths = whole.read_bytes(), random.Random(5), []
    for number in range(effort(24)):
        damaged = bytearray(content)
        if number % 3 == 0:  # cut off
            del damaged[rng.randrange(len(damaged)) :]
        else:  # bits flipped: in the header, or anywhere
            reach = 600 if number % 3 == 1 else len(damaged)
            for _ in range(rng.choice([1, 5, 50])):
                damaged[rng.randrange(min(reach, len(damaged)))] ^= 1 << rng.randrange(8)
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(damaged)
        paths.append(path)
    answers = read(whole, *paths)
    assert answers[0]["frames"] == 40 and answers[0]["said"] == []
    named = 0
    for path, answer in zip(paths, answers[1:], strict=True):
        assert answer["sizes"] <= 1, "boxes keep their meaning"
        assert all("\n" not in line for line in answer["said"])
        if not answer["frames"]:
            assert answer["said"] and answer["said"][-1].startswith("error: "), path
        named += bool(answer["said"])
    assert named >= len(paths) // 3, "what is cut off, at least, is named"


def without_pictures(clip: Path, numbers: list[int]) -> Path:
    """Make some pictures of an MJPEG clip undecodable."""
    data, start = bytearray(clip.read_bytes()), -1
    starts = []
    while (start := data.find(b"\xff\xd8\xff", start + 1)) >= 0:
        starts.append(start)
    for number in numbers:
        data[starts[number] : starts[number] + 400] = bytes(400)
    clip.write_bytes(data)
    return clip


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_pictures_that_cannot_be_decoded_are_left_out(tmp_path: Path, suffix: str) -> None:
    """As in a folder of pictures: the rest keeps its numbers and times, and no file ends there."""
    clip = scene.write_clip(tmp_path / f"clip{suffix}", 90, codec="MJPG")
    without_pictures(clip, [0, 40, 41, 42, 60])
    (answer,) = read(clip)
    left = [index for index in range(90) if index not in (0, 40, 41, 42, 60)]
    assert answer["numbers"] == left
    assert np.allclose(answer["times"], np.array(left) / 30, atol=0.002)
    assert answer["said"][:3] == [
        f"{clip}: frame 0 cannot be decoded; it is left out",
        f"{clip}: frames 40 to 42 cannot be decoded; they are left out",
        f"{clip}: frame 60 cannot be decoded; it is left out",
    ]
    assert len(answer["said"]) == 4 and " is damaged: the decoder reported" in answer["said"][3]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_seeking_passes_over_pictures_that_cannot_be_decoded(tmp_path: Path, suffix: str) -> None:
    clip = scene.write_clip(tmp_path / f"clip{suffix}", 90, codec="MJPG")
    without_pictures(clip, [40, 41, 42, 60])
    notes: list[str] = []
    source = open_source(str(clip), notes.append)
    source.read()
    for asked in (70, 30, 40, 41, 42, 43, 44, 59, 60, 61, 89, 41, 2):
        source.seek(asked)
        frame = source.read()
        expected = {40: 43, 41: 43, 42: 43, 60: 61}.get(asked, asked)
        assert (frame.index, scene.number_of(frame.image)) == (expected, expected)
    numbers = [frame.index for frame in scene.read_all(source)]
    assert numbers == [index for index in range(3, 90) if index not in (40, 41, 42, 60)]
    assert len(notes) == 2, "each is said once"
    source.close()


@pytest.mark.parametrize("asked", [0, 110])
def test_a_decoder_that_fails_before_the_picture_that_is_missing(
    tmp_path: Path, asked: int
) -> None:
    """Where pictures refer to later ones it still has some of before the damage to give."""
    data = bytearray(sample_clip()[0].read_bytes())
    data[300_000:302_000] = random.Random(0).randbytes(2000)
    (tmp_path / "clip.mp4").write_bytes(data)
    whole = scene.read_all(open_source(str(sample_clip()[0]), pytest.fail))
    source = open_source(str(tmp_path / "clip.mp4"), lambda text: None)
    assert source.read().index == 0
    source.seek(asked)
    frames = scene.read_all(source)
    assert len(frames) >= len(whole) - asked - 3 and frames[-1].index == len(whole) - 1
    for frame in frames:
        if not 80 <= frame.index < 120:  # from the damage to the next key frame
            assert np.abs(frame.image.astype(int) - whole[frame.index].image).mean() < 0.5


def test_the_demo_goes_on_behind_what_cannot_be_decoded(tmp_path: Path, capsys) -> None:
    """Results keep the numbers of the frames; the video lacks those, as from a folder."""
    clip = scene.write_clip(tmp_path / "clip.avi", 60, codec="MJPG")
    without_pictures(clip, [20, 21])
    arguments = ["--video", clip, "--init-box", "30,60,40,40", "--no-display", "--quiet"]
    outputs = ["--results", tmp_path / "out.txt", "--save", tmp_path / "out.mp4"]
    status = cli.run([str(a) for a in (*arguments, *outputs)], make_session=scene.ColourSession)
    assert status == 0
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert [n for n, line in enumerate(lines) if line == "nan,nan,nan,nan"] == [20, 21]
    for index in (19, 22, 59):
        box = tuple(map(float, lines[index].split(",")))
        assert iou(box, scene.red_box(index)) > 0.85
    assert len(lines) == 60 and len(scene.read_clip(tmp_path / "out.mp4")[0]) == 58
    assert "frames 20 to 21 cannot be decoded; they are left out" in capsys.readouterr().err


def test_files_that_are_no_videos(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    contents = {
        "empty.mp4": b"", "words.mp4": b"not a video\n" * 500, "noise.avi": rng.bytes(20_000),
        "page.mkv": b"<!doctype html><title>404</title>", "zeros.mp4": bytes(50_000),
        "picture.mp4": cv2.imencode(".txt.png", np.zeros((9, 9, 3), np.uint8))[1].tobytes(),
        "archive.mp4": b"PK\x03\x04" + rng.bytes(500), "mp3.mp4": b"ID3\x04" + bytes(500),
        "riff.avi": b"RIFF\xff\xff\xff\xffAVI LIST" + bytes(100),
        "box.mp4": b"\xff\xff\xff\xffftypisom" + bytes(64),
    }  # fmt: skip
    paths = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        paths.append(tmp_path / name)
    (tmp_path / "folder.mp4").mkdir()
    for path, answer in zip(
        [*paths, tmp_path / "folder.mp4", tmp_path / "none.mp4"],
        read(*paths, tmp_path / "folder.mp4", tmp_path / "none.mp4"),
        strict=True,
    ):
        if path.name == "picture.mp4" and answer["frames"] == 1:
            continue  # decoders look at contents, not at names
        assert answer["frames"] == 0 and len(answer["said"]) == 1, (path.name, answer)
        assert answer["said"][0].startswith("error: "), path.name


def test_a_video_without_a_frame_is_refused(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30, (64, 48))
    writer.release()
    (answer,) = read(tmp_path / "a.avi")
    assert answer["frames"] == 0 and answer["said"][0].startswith("error: ")


def mkv_with_times(path: Path, times: list[int], sizes: list[tuple[int, int]]) -> None:
    """A Matroska file of MJPEG pictures, written by hand: OpenCV writes steady streams only."""

    def number(value: int) -> bytes:
        return value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")

    def element(name: str, data: bytes) -> bytes:
        return bytes.fromhex(name) + (len(data) | 1 << 56).to_bytes(8, "big") + data

    header = element("1A45DFA3", element("4282", b"matroska") + element("4287", number(2)))
    video = element("E0", element("B0", number(sizes[0][0])) + element("BA", number(sizes[0][1])))
    entry = element("D7", number(1)) + element("73C5", number(1)) + element("83", number(1))
    entry += element("86", b"V_MJPEG") + video
    info = element("1549A966", element("2AD7B1", number(1_000_000)))
    clusters = b""
    for index, (time, (width, height)) in enumerate(zip(times, sizes, strict=True)):
        image = np.full((height, width, 3), 20 + 5 * index, np.uint8)
        jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        block = b"\x81" + (0).to_bytes(2, "big") + b"\x80" + jpeg
        clusters += element("1F43B675", element("E7", number(time)) + element("A3", block))
    segment = info + element("1654AE6B", element("AE", entry)) + clusters
    path.write_bytes(header + element("18538067", segment))


def test_a_variable_frame_rate_keeps_every_frame_and_its_time(tmp_path: Path) -> None:
    times = [0, 33, 66, 500, 533, 1700, 1710, 1720, 4000, 4033]
    mkv_with_times(tmp_path / "vfr.mkv", times, [(64, 48)] * len(times))
    (answer,) = read(tmp_path / "vfr.mkv")
    assert answer["frames"] == len(times)
    assert np.allclose(answer["times"], np.array(times) / 1000, atol=0.002)


def test_a_size_that_changes_in_the_middle_is_scaled_to_the_first(tmp_path: Path) -> None:
    sizes = [(64, 48)] * 4 + [(128, 96)] * 4 + [(50, 70)] * 2
    mkv_with_times(tmp_path / "sizes.mkv", [40 * i for i in range(10)], sizes)
    (answer,) = read(tmp_path / "sizes.mkv")
    assert answer["frames"] == 10 and answer["sizes"] == 1

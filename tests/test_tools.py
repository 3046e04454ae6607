"""What the tools say of themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOLS = sorted((Path(__file__).resolve().parent.parent / "tools").glob("*.py"))


@pytest.mark.parametrize("path", TOOLS, ids=lambda p: p.name)
def test_examples_can_be_copied_from_the_help(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert not re.search(r"\S {3,}--", text), "a backslash at the end of a line was taken for one"


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("make_readme_gif.py", ["--width", "0"], "a whole number of 8 to 8192 is needed, found 0"),
        ("make_readme_gif.py", ["--video", "a.gif", "--overwrite"], "would be written over a.gif"),
        ("make_readme_gif.py", ["--start", "nan"], "a number of 0 to 1e+06 is needed, found nan"),
        ("make_readme_gif.py", ["--max-megabytes=-1"], "a number of 0 to 1e+06 is needed"),
        ("make_sample.py", ["--every", "0"], "a whole number above 0 is needed, found 0"),
        ("make_sample.py", ["--every", "3"], "--every gives nothing but --sheet PNG; name it"),
    ],
)
def test_what_makes_no_picture_is_one_sentence(tmp_path, tool, arguments, said) -> None:
    (tmp_path / "a.gif").touch()
    command = [sys.executable, str(TOOLS[0].with_name(tool)), "--out", "a.gif", *arguments]
    command += [] if tool == "make_sample.py" or "--video" in arguments else ["--video", "b.mp4"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("tool", ["make_readme_gif.py", "make_sample.py"])
def test_help_is_given_where_python_leaves_docstrings_out(tool: str) -> None:
    command = [sys.executable, "-OO", str(TOOLS[0].with_name(tool)), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "--out" in done.stdout, done.stderr


@pytest.mark.parametrize("rate", [8, 25])
def test_a_moving_picture_goes_as_fast_as_its_video(tmp_path, rate: int) -> None:
    image = pytest.importorskip("PIL.Image")
    sequence = pytest.importorskip("PIL.ImageSequence")
    writer = cv2.VideoWriter(
        str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), rate, (64, 48)
    )
    for number in range(2 * rate):
        writer.write(np.full((48, 64, 3), 255 * number // (2 * rate), np.uint8))
    writer.release()
    command = [sys.executable, str(TOOLS[0].with_name("make_readme_gif.py")), "--video", "a.avi"]
    command += ["--out", "made/a.gif"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with image.open(tmp_path / "made" / "a.gif") as picture:
        shown = sum(frame.info["duration"] for frame in sequence.Iterator(picture))
    assert shown == pytest.approx(2000, abs=100)

"""Two programs that write to one place: the second is told so, and no file is mixed."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tracker.app.results_writer import ResultsWriter, Row
from tracker.app.video_out import VideoOut
from tracker.errors import UserError
from tracker.files import open_alone, write_atomic
from tracker.results import State, TrackResult
from tracker.weights import ModelFiles, read_model, read_sums, write_model

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks as POSIX has them")
ROW = {1: Row("a", TrackResult((1.0, 2.0, 3.0, 4.0), 0.5, State.TRACKING))}


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.jsonl", "a.txt"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_results_of_two_programs_are_not_mixed(tmp_path: Path, name: str, overwrite: bool) -> None:
    """Both asked before either had written; --overwrite is no leave to write together."""
    path = tmp_path / name
    first, second = (ResultsWriter(path, overwrite=overwrite) for _ in range(2))
    with first, second:
        first.write(0, 0.0, ROW)
        with pytest.raises(UserError, match=r"exists|being written by another program"):
            second.write(0, 0.0, ROW)
        first.write(1, 0.1, ROW)
    with ResultsWriter(tmp_path / f"b{name}") as alone:
        alone.write(0, 0.0, ROW)
        alone.write(1, 0.1, ROW)
    assert path.read_bytes() == (tmp_path / f"b{name}").read_bytes()
    with ResultsWriter(path, overwrite=True) as later:  # once the first is done
        later.write(0, 0.0, ROW)
    assert path.stat().st_size < (tmp_path / f"b{name}").stat().st_size


@pytest.mark.parametrize("overwrite", [False, True])
def test_videos_of_two_programs_are_not_mixed(tmp_path: Path, overwrite: bool) -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    first, second = (VideoOut(tmp_path / "a.mp4", 30, overwrite) for _ in range(2))
    first.write(frame)
    with pytest.raises(UserError, match=r"exists|being written by another program"):
        second.write(frame)
    second.close()
    first.close()
    assert (tmp_path / "a.mp4").stat().st_size > 0
    with pytest.raises(UserError, match="exists"):
        VideoOut(tmp_path / "a.mp4", 30).write(frame)


def test_a_lock_ends_with_its_program(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    code = multiprocessing.get_context("spawn").Process(target=take_and_die, args=(str(path),))
    code.start()
    code.join(60)
    assert path.exists()
    os.close(open_alone(path, overwrite=True))


def take_and_die(path: str) -> None:
    open_alone(Path(path), overwrite=False)
    os._exit(9)


def test_exports_to_one_folder_keep_each_others_sums(tmp_path: Path) -> None:
    """Each export reads, changes and writes SHA256SUMS."""
    names = [f"m{n}" for n in range(12)]

    def export(name: str) -> None:
        for _ in range(3):
            files = ModelFiles(name, name.encode(), name.encode() * 2, tmp_path)
            write_model(files, tmp_path / name)

    threads = [threading.Thread(target=export, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_sums(tmp_path / "SHA256SUMS")) == 2 * len(names)
    for name in names:
        read_model(tmp_path / name)
    assert not [p.name for p in tmp_path.iterdir() if "part" in p.name]


def write_often(path: str, letter: str) -> None:
    for _ in range(40):
        write_atomic(Path(path), letter * 50_000)


def test_a_file_is_always_whole_under_two_writers(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_often, args=(str(path), c)) for c in "ab"]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            text = path.read_text()
            assert len(text) == 50_000 and len(set(text)) == 1
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]

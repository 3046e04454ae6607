"""Result files are complete after every frame, in every format, also after rewinds."""

import contextlib
import csv
import json
import math
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.app.results_writer import FORMATS, ResultsWriter, Row, form_of
from tracker.errors import UserError
from tracker.results import State, TrackResult

SUFFIX = {"csv": ".csv", "json": ".json", "jsonl": ".jsonl"}


def row(x, state=State.TRACKING, label="cup", similarity=None):
    return Row(label, TrackResult((float(x), 2.0, 30.5, 40.25), 0.875, state, similarity))


def write(path, frames, form=None, **options) -> None:
    with ResultsWriter(path, form, **options) as writer:
        for index, rows in frames:
            writer.write(index, index / 25, rows)


FRAMES = [
    (0, {1: row(10)}),
    (1, {1: row(11), 2: row(50, similarity=0.5)}),
    (2, {1: row(12, State.LOST), 2: row(51, State.UNCERTAIN)}),
]


def test_csv(tmp_path) -> None:
    write(tmp_path / "a.csv", FRAMES)
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [(r["frame"], r["id"]) for r in rows] == [
        ("0", "1"),
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
    ]
    assert rows[0] == {
        "frame": "0",
        "time": "0.0000",
        "id": "1",
        "label": "cup",
        "x": "10.000",
        "y": "2.000",
        "w": "30.500",
        "h": "40.250",
        "score": "0.8750",
        "state": "tracking",
        "similarity": "",
    }
    assert rows[2]["similarity"] == "0.5000"
    assert (rows[3]["x"], rows[3]["w"], rows[3]["state"]) == ("", "", "lost")


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_and_json_lines_hold_the_same_rows(tmp_path, name) -> None:
    write(tmp_path / name, FRAMES)
    text = (tmp_path / name).read_text()
    rows = json.loads(text) if name == "a.json" else [json.loads(t) for t in text.splitlines()]
    assert [r["frame"] for r in rows] == [0, 1, 2]
    assert rows[1]["targets"][1] == {
        "id": 2,
        "label": "cup",
        "box": [50.0, 2.0, 30.5, 40.25],
        "score": 0.875,
        "state": "tracking",
        "similarity": 0.5,
    }
    assert rows[2]["targets"][0]["box"] is None


def test_otb_has_a_line_a_frame_and_a_file_a_target(tmp_path) -> None:
    write(tmp_path / "a.txt", FRAMES)
    assert (tmp_path / "a.txt").read_text().splitlines() == [
        "10.000,2.000,30.500,40.250",
        "11.000,2.000,30.500,40.250",
        "nan,nan,nan,nan",
    ]
    assert (tmp_path / "a_2.txt").read_text().splitlines() == [
        "nan,nan,nan,nan",
        "50.000,2.000,30.500,40.250",
        "51.000,2.000,30.500,40.250",
    ]


def test_got10k_writes_an_empty_box_for_a_lost_target(tmp_path) -> None:
    write(tmp_path / "a.txt", FRAMES, "got10k")
    assert (tmp_path / "a.txt").read_text().splitlines()[2] == "0,0,0,0"


def test_mot_counts_from_one_and_leaves_lost_targets_out(tmp_path) -> None:
    write(tmp_path / "a.txt", FRAMES, "mot")
    assert (tmp_path / "a.txt").read_text().splitlines() == [
        "1,1,11.000,3.000,30.500,40.250,0.8750,-1,-1,-1",
        "2,1,12.000,3.000,30.500,40.250,0.8750,-1,-1,-1",
        "2,2,51.000,3.000,30.500,40.250,0.8750,-1,-1,-1",
        "3,2,52.000,3.000,30.500,40.250,0.8750,-1,-1,-1",
    ]


def test_frames_that_were_left_out_keep_their_line_in_otb(tmp_path) -> None:
    write(tmp_path / "a.txt", [(0, {}), (3, {5: row(1)}), (4, {})])
    lines = (tmp_path / "a.txt").read_text().splitlines()
    assert len(lines) == 5 and lines[3].startswith("1.000")
    assert all(math.isnan(float(lines[i].split(",")[0])) for i in (0, 1, 2, 4))


def parse(path, form):
    """Read back {frame: {id: x or None}}, by rules written apart from the writer's."""
    text = path.read_text() if path.exists() else ""
    found = {}
    if form == "json":
        for r in json.loads(text or "[]"):
            found[r["frame"]] = {t["id"]: t["box"] and t["box"][0] for t in r["targets"]}
    elif form == "jsonl":
        for line in text.splitlines():
            r = json.loads(line)
            found[r["frame"]] = {t["id"]: t["box"] and t["box"][0] for t in r["targets"]}
    elif form == "csv":
        for r in csv.DictReader(text.splitlines()):
            found.setdefault(int(r["frame"]), {})[int(r["id"])] = float(r["x"]) if r["x"] else None
    elif form == "mot":
        for line in text.splitlines():
            f, i, x = line.split(",")[:3]
            found.setdefault(int(f) - 1, {})[int(i)] = float(x) - 1
    return found


@given(
    form=st.sampled_from(["csv", "json", "jsonl", "mot"]),
    frames=st.lists(
        st.tuples(st.integers(0, 12), st.lists(st.integers(1, 3), unique=True), st.booleans()),
        max_size=25,
    ),
)
@settings(max_examples=80, deadline=None)
def test_any_order_of_frames_leaves_what_was_seen_last_and_is_readable_all_along(
    tmp_path_factory, form, frames
) -> None:
    path = tmp_path_factory.mktemp("r") / f"a{SUFFIX.get(form, '.txt')}"
    expected = {}
    with ResultsWriter(path, form) as writer:
        for number, (frame, ids, lost) in enumerate(frames):
            state = State.LOST if lost else State.TRACKING
            writer.write(frame, 0.0, {i: row(number, state) for i in ids})
            expected[frame] = {i: None if lost else float(number) for i in ids}
            seen = parse(path, form)
            if form == "mot":
                wanted = {
                    f: {i: x for i, x in r.items() if x is not None} for f, r in expected.items()
                }
            else:
                wanted = expected
            drop = (lambda d: {f: r for f, r in d.items() if r}) if form in ("csv", "mot") else dict
            assert drop(seen) == drop(wanted)
            assert list(seen) == sorted(seen)


@pytest.mark.parametrize("form", ["otb", "got10k"])
def test_a_line_stays_a_frame_where_frames_are_seen_again_and_targets_are_added(
    tmp_path, form
) -> None:
    lost = row(0, State.LOST)
    with ResultsWriter(tmp_path / "a.txt", form) as writer:
        for frame in range(6):
            writer.write(frame, 0.0, {1: row(frame)})
        writer.write(2, 0.0, {1: row(20)})
        writer.write(2, 0.0, {1: row(20), 2: row(50)})  # added to the frame on screen
        for path in (tmp_path / "a.txt", tmp_path / "a_2.txt"):
            assert len(path.read_text().splitlines()) == 6
        writer.write(3, 0.0, {1: lost, 2: row(51)})
        writer.write(7, 0.0, {1: row(7), 2: row(57)})
    absent = "nan" if form == "otb" else "0"
    firsts = [
        [line.split(",")[0] for line in (tmp_path / name).read_text().splitlines()]
        for name in ("a.txt", "a_2.txt")
    ]
    assert firsts == [
        ["0.000", "1.000", "20.000", absent, "4.000", "5.000", absent, "7.000"],
        [absent, absent, "50.000", "51.000", absent, absent, absent, "57.000"],
    ]


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="this system has no /dev/fd")
def test_a_pipe_is_given_what_is_seen_again_once_more(tmp_path) -> None:
    reading, writing = os.pipe()
    with ResultsWriter(Path(f"/dev/fd/{writing}"), "json") as pipe:
        for frame in (0, 1, 2, 0, 1):
            pipe.write(frame, 0, {1: row(frame)})
    os.close(writing)
    with open(reading) as reader:
        assert [r["frame"] for r in json.loads(reader.read())] == [0, 1, 2, 0, 1]


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_overwritten_unless_asked_for(tmp_path, form) -> None:
    path = tmp_path / f"a{SUFFIX.get(form, '.txt')}"
    path.write_text("precious")
    with pytest.raises(UserError, match="exists; add --overwrite"):
        ResultsWriter(path, form)
    assert path.read_text() == "precious"
    write(path, FRAMES, form, overwrite=True)
    assert "precious" not in path.read_text()


def test_no_file_appears_before_the_first_frame(tmp_path) -> None:
    ResultsWriter(tmp_path / "a.csv").close()
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    "name, said",
    [
        ("a.xyz", "results go to a name ending in"),
        ("none/a.csv", "does not exist"),
        (".", "ending in"),
    ],
)
def test_places_that_cannot_be_written_are_refused(tmp_path, name, said) -> None:
    with pytest.raises(UserError, match=said):
        ResultsWriter(tmp_path / name)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path) -> None:
    (tmp_path / "a.csv").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)$"):
        write(tmp_path / "a.csv", FRAMES, overwrite=True)


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="this system has no /dev/fd")
@pytest.mark.parametrize("gone", ["before", "later"])
def test_a_pipe_whose_reader_left_takes_no_more_and_is_not_waited_for(tmp_path, gone) -> None:
    reading, writing = os.pipe()
    for end in (reading, writing):
        os.set_blocking(end, False)
    pipe = ResultsWriter(Path(f"/dev/fd/{writing}"), "jsonl")
    try:
        if gone == "later":
            pipe.write(0, 0, FRAMES[0][1])
            assert json.loads(os.read(reading, 1000))["frame"] == 0
        os.close(reading)
        assert not pipe.unread
        for index in (1, 2):
            pipe.write(index, 0, FRAMES[index][1])
            assert pipe.unread
    finally:
        pipe.close()
        os.close(writing)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_waits_for_its_reader(tmp_path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    got = []
    reader = threading.Timer(0.3, lambda: got.append((tmp_path / "a.jsonl").read_text()))
    reader.start()
    write(tmp_path / "a.jsonl", FRAMES)
    reader.join()
    assert [json.loads(line)["frame"] for line in got[0].splitlines()] == [0, 1, 2]


def test_a_disk_that_fills_up_leaves_whole_rows(tmp_path, capfd) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
        with pytest.raises(UserError, match="rows so far are kept"):
            write(tmp_path / "a.json", [(i, {1: row(i)}) for i in range(500)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    rows = json.loads((tmp_path / "a.json").read_text())
    assert [r["frame"] for r in rows] == list(range(len(rows))) and len(rows) > 20


def test_a_disk_that_fills_up_while_frames_are_seen_again_keeps_the_old_rows(tmp_path) -> None:
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = tmp_path / "a.json"
    try:
        with ResultsWriter(path) as writer:
            for frame in range(40):
                writer.write(frame, 0.0, {1: row(frame)})
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
            for _ in range(2):
                with pytest.raises(UserError, match="cannot be written"):
                    writer.write(5, 0.0, {1: row(5), 2: row(6)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    rows = json.loads(path.read_text())
    assert [(r["frame"], len(r["targets"])) for r in rows] == [(f, 1) for f in range(40)]


def test_ctrl_c_while_frames_are_seen_again_leaves_whole_rows(tmp_path) -> None:
    class Interrupted:
        """A file in whose writing ctrl-c comes between any two steps."""

        def __init__(self, file, steps):
            self.file, self.steps = file, steps

        def __getattr__(self, name):
            self.steps -= 1
            if self.steps == 0:
                raise KeyboardInterrupt
            return getattr(self.file, name)

    for steps in range(1, 6):
        path = tmp_path / f"{steps}.json"
        with contextlib.suppress(KeyboardInterrupt), ResultsWriter(path) as writer:
            for frame in range(10):
                writer.write(frame, 0.0, {1: row(frame), 2: row(100)})
            writer._shared._file = Interrupted(writer._shared._file, steps)
            writer.write(3, 0.0, {1: row(3)})
        assert [r["frame"] for r in json.loads(path.read_text())] == list(range(10))


def test_a_live_source_needs_no_memory_a_frame(tmp_path) -> None:
    with ResultsWriter(tmp_path / "a.csv", rewinds=False) as writer:
        for index in range(300):
            writer.write(index, 0, {1: row(1)})
        writer.write(299, 0, {1: row(2)})  # a target that is added to the frame on screen
        assert len(writer._shared._frames) == 1
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 301


@pytest.mark.parametrize("name, form", [("A.CSV", "csv"), ("a.ndjson", "jsonl"), ("a.txt", "otb")])
def test_the_ending_chooses_the_format(tmp_path, name, form) -> None:
    assert form_of(tmp_path / name) == form

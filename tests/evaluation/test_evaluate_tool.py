"""``tools/evaluate.py`` as a person runs it."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest

from tests.evaluation.evaluate_tool import HERE, TOOL, evaluate
from tests.evaluation.trackers_under_test import moving_square

PERFECT = "trackers_under_test:Perfect"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Three clips in two folders; in one of them the target is absent for a while."""
    root = tmp_path_factory.mktemp("data with spaces ü")
    for folder, name, gone in (("near", "a", ()), ("near", "b", (5, 6, 7)), ("far", "c", ())):
        (root / folder).mkdir(exist_ok=True)
        codec = cv2.VideoWriter_fourcc(*"MJPG")
        writer = cv2.VideoWriter(str(root / folder / f"{name}.avi"), codec, 10, (96, 72))
        lines = []
        for i in range(16):
            image, box = moving_square(i)
            if i in gone:
                image[:] = 40
            writer.write(image)
            lines.append("nan,nan,nan,nan" if i in gone else ",".join(f"{v:g}" for v in box))
        writer.release()
        (root / folder / f"{name}.txt").write_text("\n".join(lines))
    return root


def test_table_report_and_a_second_run(data, tmp_path):
    pytest.importorskip("matplotlib")
    arguments = ("--data", data, "--out", tmp_path, "--trackers", f"{PERFECT},identity,vit")
    done = evaluate(*arguments, "--jobs", 2, "--formats", "otb,got10k,vot")
    assert done.returncode == 0, done.stderr
    assert "not scored: vit: its ONNX files are not given" in done.stderr
    assert re.search(r"near \(2 sequences\)", done.stdout)
    assert done.stderr.count("frames/s") < 5  # a log is not filled with states of the bar
    summary = json.loads((tmp_path / "summary.json").read_text())
    near = summary["datasets"]["near"]
    # jpeg blurs the square's rim by a pixel at most
    assert near["trackers_under_test.Perfect"]["auc"]["mean"] > 0.85
    assert near["identity"]["auc"]["mean"] < 0.5
    assert near["trackers_under_test.Perfect"]["presence"]["lost_said_when_gone"] == 1
    assert near["identity"]["presence"]["lost_said_when_gone"] == 0
    assert summary["comparisons"][0]["verdict"] == "too few sequences to tell"
    assert summary["header"]["processor"]
    check_report(tmp_path / "report.html")
    assert (tmp_path / "toolkits" / "otb" / "near" / "identity" / "a.txt").is_file()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.csv")}
    assert len(before) == 6
    again = evaluate(*arguments, "--no-report")
    assert again.returncode == 0 and "6 of 6 runs were done before" in again.stderr
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.csv")} == before
    assert again.stdout.split("results:")[0] == done.stdout.split("results:")[0]


def check_report(path: Path) -> None:
    """Whole, self-contained and without scripts."""
    text = path.read_text()

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag != "script"
            for name, value in attrs:
                if name in ("src", "href", "xlink:href") and value:
                    assert value.startswith(("data:", "#")), value

    Tags().feed(text)
    assert text.count("<svg") >= 5 and text.rstrip().endswith("</html>")
    assert "Worst moments" in text and "AUC" in text


def test_quick_looks_do_not_mix_with_whole_clips(data, tmp_path):
    common = ("--data", data, "--out", tmp_path, "--trackers", "identity", "--no-report", "--quiet")
    assert evaluate(*common, "--max-frames", 6, "--only", "near/a").returncode == 0
    assert (tmp_path / "first-6-frames" / "identity" / "near" / "a.csv").is_file()
    assert not (tmp_path / "identity").exists()
    assert evaluate(*common, "--only", "a").returncode == 0
    rows = (tmp_path / "identity" / "near" / "a.csv").read_text().splitlines()
    assert rows[0] == "frame,x,y,w,h,score,state,seconds" and len(rows) == 17


def test_the_header_says_how_what_is_in_the_table_was_run(data, tmp_path):
    common = ("--data", data, "--out", tmp_path, "--no-report", "--quiet", "--only", "near")
    for threads, trackers in ((1, "identity"), (2, f"identity,{PERFECT}")):
        done = evaluate(*common, "--trackers", trackers, "--threads", threads, "--jobs", 1)
        assert done.returncode == 0, done.stderr
    header = json.loads((tmp_path / "summary.json").read_text())["header"]
    assert header["threads"] == "1 or 2 a tracker, 1 at a time"


def test_vot_protocols(data, tmp_path):
    common = ("--data", data, "--out", tmp_path, "--trackers", f"{PERFECT},identity", "--quiet")
    done = evaluate(*common, "--protocol", "vot", "--formats", "vot")
    assert done.returncode == 0, done.stderr
    runs = tmp_path / "vot-anchors" / "toolkits" / "vot" / "near" / "identity" / "baseline" / "a"
    names = [p.name for p in sorted(runs.glob("*.txt"))]
    assert names == ["a_00000000.txt", "a_00000015.txt"]
    assert (runs / names[1]).read_text().splitlines()[0] == "1"
    figures = json.loads((tmp_path / "vot-anchors" / "summary.json").read_text())["trackers"]
    assert figures["trackers_under_test.Perfect"]["near"]["robustness"] == 1
    done = evaluate(*common, "--protocol", "vot-supervised")
    assert done.returncode == 0 and "failures" in done.stdout


def test_vot_figures_say_of_how_many_sequences_they_are(data, tmp_path):
    trackers = "identity,trackers_under_test:LeavesNear"
    done = evaluate("--data", data, "--out", tmp_path, "--trackers", trackers, "--protocol", "vot")
    assert done.returncode == 1
    assert "near (2 sequences)" in done.stdout and done.stdout.count("(1 of 2)") == 1
    figures = json.loads((tmp_path / "vot-anchors" / "summary.json").read_text())["trackers"]
    assert figures["identity"]["near"]["sequences"] == 2


@pytest.mark.parametrize("protocol", ["vot", "vot-supervised", "verification"])
def test_what_has_no_public_truth_gets_no_figures(tmp_path, protocol):
    folder = tmp_path / "GOT-10k_Test_000001"
    folder.mkdir()
    for i in range(12):
        cv2.imwrite(str(folder / f"{i:08d}.png"), moving_square(i)[0])
    (folder / "groundtruth.txt").write_text("10,20,20,20")
    arguments = ("--data", tmp_path, "--out", tmp_path / "out", "--protocol", protocol)
    done = evaluate(*arguments, "--trackers", "identity")
    assert done.returncode == 2 and "only the first boxes are public" in done.stderr
    assert not (tmp_path / "out").exists()


def test_same_object_or_not(data, tmp_path):
    pytest.importorskip("matplotlib")
    common = ("--data", data, "--out", tmp_path, "--protocol", "verification")
    done = evaluate(*common, "--trackers", "thumbnail,identity")
    assert done.returncode == 0, done.stderr
    assert "identity: it has no embed(image, box)" in done.stderr
    figures = json.loads((tmp_path / "verification" / "summary.json").read_text())["models"]
    curve = figures["thumbnail"]["roc"]
    assert curve[0] == [0, 0] and curve[-1] == [1, 1]
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(curve))
    assert area == pytest.approx(figures["thumbnail"]["auc"], abs=0.01)
    assert "</svg>" in (tmp_path / "verification" / "roc.svg").read_text()


def test_same_object_or_not_is_asked_in_each_condition_by_itself(data, tmp_path):
    common = ("--data", data, "--out", tmp_path, "--protocol", "verification", "--no-report")
    arguments = (*common, "--trackers", "thumbnail", "--conditions")
    assert evaluate(*arguments, "fog,dim").returncode == 0
    both = json.loads((tmp_path / "verification" / "summary.json").read_text())
    assert list(both["conditions"]) == ["fog", "dim"]
    done = evaluate(*arguments, "dim")
    assert done.returncode == 0 and "\ndim\n" in done.stdout
    alone = json.loads((tmp_path / "verification" / "summary.json").read_text())
    assert alone["models"] == both["models"], "other conditions are no other clips"
    assert alone["conditions"]["dim"] == both["conditions"]["dim"]


def test_each_condition_asks_the_questions_of_the_clean_clips(data, tmp_path):
    common = ("--data", data, "--out", tmp_path, "--protocol", "verification", "--no-report")
    done = evaluate(*common, "--trackers", "trackers_under_test:ByPlace", "--conditions", "fog")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "verification" / "summary.json").read_text())
    assert figures["models"] and figures["conditions"]["fog"] == figures["models"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "missing", "--trackers", "identity"], "no such folder"),
        (["--data", ".", "--trackers", "identity"], "no data set was recognised"),
        (["--data", "DATA", "--trackers", "nobody"], "no tracker is called 'nobody'"),
        (["--data", "DATA", "--trackers", "vit"], "none of the trackers can be had here"),
        (["--data", "DATA", "--trackers", "identity", "--only", "z"], "no sequence is called 'z'"),
        (["--data", "DATA", "--trackers", "identity,identity=mil"], "share the name"),
        (
            ["--data", "DATA", "--trackers", "a/kestrel,b/kestrel", "--protocol", "verification"],
            "a/kestrel and b/kestrel would share the name 'kestrel'",
        ),
        (["--data", "DATA", "--trackers", ","], "a name is needed"),
        (
            [
                "--data",
                "DATA",
                "--trackers",
                "kestrel",
                "--protocol",
                "verification",
                "--formats",
                "vot",
            ],
            "--protocol verification makes none",
        ),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(data, tmp_path, arguments, words):
    given = [data if a == "DATA" else a for a in arguments]
    done = evaluate(*given, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2 and words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_tracker_is_reported_and_the_others_are_scored(data, tmp_path):
    trackers = "trackers_under_test:Raises,identity"
    done = evaluate("--data", data, "--out", tmp_path, "--trackers", trackers, "--no-report")
    assert done.returncode == 1
    assert "Raises near/a: ZeroDivisionError: by design" in done.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["datasets"]["far"]["identity"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_tracker_that_ends_the_program_ends_its_run_alone(data, tmp_path, jobs):
    module = "trackers_under_test"
    trackers = f"{module}:Leaves,{module}:LeavesWhenMade,identity"
    done = evaluate(
        "--data", data, "--out", tmp_path, "--trackers", trackers, "--no-report", "--jobs", jobs
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "Leaves near/a: SystemExit" in done.stderr
    assert "LeavesWhenMade: it cannot be made (SystemExit: 2)" in done.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["datasets"]["far"]["identity"]


def test_boxes_of_negative_size_are_reported(data, tmp_path):
    pytest.importorskip("matplotlib")
    done = evaluate("--data", data, "--out", tmp_path, "--trackers", "trackers_under_test:Negative")
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr
    assert "Worst moments" in (tmp_path / "report.html").read_text()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that takes no files")
def test_a_place_that_takes_no_files_is_said_before_anything_is_run(data):
    done = evaluate("--data", data, "--out", "/proc/out", "--trackers", "trackers_under_test:Dies")
    assert done.returncode == 2 and "no results can be written here" in done.stderr


def test_names_with_dollars_are_no_formulas(data, tmp_path):
    pytest.importorskip("matplotlib")
    clips = tmp_path / "a$b"
    clips.mkdir()
    for name in ("x$^$", "y$\\no$"):
        shutil.copy(data / "near" / "a.avi", clips / f"{name}.avi")
        shutil.copy(data / "near" / "a.txt", clips / f"{name}.txt")
    trackers = "identity,_other=identity"
    done = evaluate("--data", clips, "--out", tmp_path / "out", "--trackers", trackers)
    assert done.returncode == 0 and not re.search("Traceback|Warning", done.stderr)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "y$\\no$" in page and "other  0." in page


def test_a_foreign_file_is_not_replaced(data, tmp_path):
    place = tmp_path / "identity" / "near" / "a.csv"
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    common = ("--data", data, "--out", tmp_path, "--trackers", "identity", "--no-report")
    done = evaluate(*common)
    assert done.returncode == 2 and "--overwrite" in done.stderr and place.read_text() == "mine"
    assert evaluate(*common, "--overwrite").returncode == 0


@pytest.mark.parametrize("name", ["summary.json", "report.html"])
def test_a_foreign_summary_is_not_replaced_and_our_own_grows(data, tmp_path, name):
    place = tmp_path / name
    place.write_text('{"header": {"date": "mine"}, "trackers": []}')
    mine = place.read_bytes()
    common = ("--data", data, "--out", tmp_path, "--only", "near/a", "--quiet", "--no-report")
    done = evaluate(*common, "--trackers", "identity")
    assert done.returncode == 2 and f"{name}: this file was not written by an ev" in done.stderr
    assert place.read_bytes() == mine and [p.name for p in tmp_path.iterdir()] == [name]
    assert evaluate(*common, "--trackers", "identity", "--overwrite").returncode == 0
    done = evaluate(*common, "--trackers", f"identity,{PERFECT}")
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "summary.json").read_text())["datasets"]["near"]) == 2


@pytest.mark.parametrize("below", [".", "deeper"])
def test_a_file_in_the_place_of_the_folder_is_said_before_anything_is_run(data, tmp_path, below):
    (tmp_path / "0.png").write_bytes(b"precious")
    out = tmp_path / "0.png" / below
    done = evaluate("--data", data, "--out", out, "--trackers", "trackers_under_test:Raises")
    assert done.returncode == 2 and "0.png is a file, and --out needs a folder" in done.stderr
    assert (tmp_path / "0.png").read_bytes() == b"precious"


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_goes_on_where_it_stopped(data, tmp_path, number):
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    arguments = [
        "--data", str(data), "--out", str(tmp_path), "--no-report", "--quiet",
        "--trackers", "trackers_under_test:Slow",
    ]  # fmt: skip
    command = [sys.executable, TOOL, *arguments]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("*.csv")) and time.monotonic() < deadline:
        time.sleep(0.02)
    for _ in range(2 if number == signal.SIGTERM else 1):  # as `timeout` does
        process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), said
    assert "Traceback" not in said
    tracks = list(tmp_path.rglob("*.csv"))  # a record is written before its track
    done = len(tracks)
    assert 1 <= done < 3
    for track in tracks:
        assert track.with_suffix(".json").is_file()
        assert len(track.read_text().splitlines()) == 17
    again = evaluate(*[a for a in arguments if a != "--quiet"])
    assert again.returncode == 0, again.stderr
    assert f"{done} of 3 runs were done before" in again.stderr


def test_an_interrupted_overwrite_leaves_no_old_result_behind(data, tmp_path, monkeypatch):
    tracker = "trackers_under_test:StopsOnRequest"
    arguments = ("--data", data, "--out", tmp_path, "--no-report", "--trackers", tracker)
    assert evaluate(*arguments).returncode == 0
    monkeypatch.setenv("STOP_WITHOUT_SQUARE", "1")  # in near/b, the last of three
    assert evaluate(*arguments, "--overwrite").returncode == 130
    monkeypatch.delenv("STOP_WITHOUT_SQUARE")
    again = evaluate(*arguments)
    assert again.returncode == 0 and "2 of 3 runs were done before" in again.stderr


def test_two_evaluations_may_share_a_folder(data, tmp_path):
    """Both do all the work, and each file is that of one of them."""
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    arguments = ["--data", str(data), "--out", str(tmp_path), "--no-report", "--quiet",
                 "--trackers", "trackers_under_test:Slow"]  # fmt: skip
    command = [sys.executable, TOOL, *arguments]
    both = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    again = evaluate(*[a for a in arguments if a != "--quiet"])
    assert "3 of 3 runs were done before" in again.stderr
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".part")]

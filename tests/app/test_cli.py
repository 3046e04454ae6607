"""The demo as a person calls it: exit status, one sentence, and what is left on the disk."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

import tracker
from tests.app import scene, stage
from tests.app.calls import BOX, HERE, ROOT, boxes_in, finish, start
from tracker.app import cli, job, video_file
from tracker.app.results_writer import FORMATS
from tracker.assets import sample_clip
from tracker.errors import UserError
from tracker.geometry import iou
from tracker.weights import ROLES, weights_folder


def test_a_clip_is_followed_saved_and_written(call, clip, tmp_path, capsys) -> None:
    assert (
        call(
            "--video",
            clip,
            "--init-box",
            BOX,
            "--init-box",
            "250,195,40,40",
            "--no-display",
            "--save",
            "out.mp4",
            "--results",
            "out.csv",
            "--debug",
        )
        == 0
    )
    boxes = boxes_in(tmp_path / "out.csv")
    assert len(boxes) == 120
    assert all(iou(boxes[f, 1], scene.red_box(f)) > 0.8 for f in range(60))
    assert all(iou(boxes[f, 2], scene.blue_box(f)) > 0.8 for f in range(60))
    frames, fps = scene.read_clip(tmp_path / "out.mp4")
    assert len(frames) == 60 and fps == pytest.approx(29.97, abs=2e-3)
    out = capsys.readouterr().out
    assert "annotated video: out.mp4" in out and "results: out.csv" in out


@pytest.mark.parametrize("source", ["folder", "glob", "pipe"])
def test_other_sources(call, tmp_path, source) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(12):
        cv2.imwrite(str(folder / f"{index}.png"), scene.picture(index))
    if source == "pipe":
        clip = scene.write_clip(tmp_path / "a.mkv", 12)
        with clip.open("rb") as pipe:
            process = start(
                "--video", "-", "--init-box", BOX, "--results", "o.jsonl", cwd=tmp_path, stdin=pipe
            )
            assert finish(process)[0] == 0
    else:
        where = ["--images", folder] if source == "folder" else ["--video", folder / "*.png"]
        assert call(*where, "--init-box", BOX, "--no-display", "--results", "o.jsonl") == 0
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [r["frame"] for r in rows] == list(range(12))
    assert iou(rows[11]["targets"][0]["box"], scene.red_box(11)) > 0.8


def test_a_file_url_and_a_tilde_are_files_like_any_other(call, clip, tmp_path, monkeypatch) -> None:
    """Read, and above all not written over."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "one frame"
    folder.mkdir()
    (folder / "my clip.mp4").write_bytes(clip.read_bytes())
    cv2.imwrite(str(folder / "1.png"), scene.picture(0))
    rest = ("--init-box", BOX, "--no-display", "--quiet", "--overwrite", "--max-frames", 3)
    url = (folder / "my clip.mp4").as_uri()
    with pytest.raises(UserError, match="which is read; write it elsewhere"):
        call("--video", url, *rest, "--save", folder / "my clip.mp4")
    for number, source in enumerate(
        (["--video", url], ["--images=~/one frame"], ["--video=~/one frame/*.png"])
    ):
        assert call(*source, *rest, f"--results=~/{number}.csv", "--out=~/shots") == 0
        assert len(boxes_in(tmp_path / f"{number}.csv")) == (1 if number else 3)
        assert (tmp_path / "shots").is_dir() and not (tmp_path / "~").exists()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="there are no such devices here")
def test_results_may_go_to_a_device_or_a_pipe(clip) -> None:
    rest = ("--video", clip, "--init-box", BOX, "--no-display", "--max-frames", 3)
    status, out, err = finish(start(*rest, "--results", "/dev/stdout", "--results-format", "json"))
    assert status == 0 and [row["frame"] for row in json.loads(out)] == [0, 1, 2]
    assert "clip: 3 frames in" in err  # the summary is not among the results
    assert finish(start(*rest, "--results", "/dev/null", "--results-format", "csv"))[0] == 0


@pytest.mark.parametrize("form", FORMATS)
def test_results_may_go_to_standard_output(clip, tmp_path, form) -> None:
    """Also where it is a file, behind what is in it already."""
    rest = ("--video", clip, "--init-box", BOX, "--no-display", "--max-frames", 3)
    rest = (*rest, "--results", "-", "--results-format", form)
    status, out, err = finish(start(*rest, cwd=tmp_path))
    assert status == 0 and "clip: 3 frames in" in err and list(tmp_path.iterdir()) == []
    assert out.count('"frame"') == 3 if "json" in form else len(out.splitlines()) >= 3
    (tmp_path / "log").write_text("before\n")
    with (tmp_path / "log").open("a") as log:
        command = [sys.executable, HERE / "demo.py", *rest]
        assert subprocess.run(map(str, command), stdout=log, timeout=120).returncode == 0
    assert (tmp_path / "log").read_text() == "before\n" + out


def test_a_camera_is_no_folder_of_that_name(call, tmp_path) -> None:
    (tmp_path / "77").mkdir()
    cv2.imwrite(str(tmp_path / "77" / "1.png"), scene.picture(0))
    with pytest.raises(UserError, match="camera 77 cannot be opened"):
        call("--camera", 77, "--init-box", BOX, "--no-display", "--results", "a.csv")


def test_the_folder_for_snapshots_and_recordings_is_made(call, clip, tmp_path) -> None:
    rest = ("--init-box", BOX, "--no-display", "--quiet", "--results", "a.csv")
    with pytest.raises(UserError):
        call("--video", "none.mp4", *rest, "--out", "new")
    assert not (tmp_path / "new").exists()
    assert call("--video", clip, *rest, "--out", "new/er") == 0
    assert (tmp_path / "new" / "er").is_dir()


def test_max_frames_ends_early(call, clip, tmp_path) -> None:
    call(
        "--video",
        clip,
        "--init-box",
        BOX,
        "--no-display",
        "--results",
        "o.txt",
        "--max-frames",
        7,
        "--quiet",
    )
    assert len((tmp_path / "o.txt").read_text().splitlines()) == 7


@pytest.mark.parametrize("source", ["clip", "folder"])
def test_what_an_option_cannot_do_is_said(call, clip, tmp_path, capsys, source) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), scene.picture(index))
    where = clip if source == "clip" else folder
    options = ["--video", where, "--init-box", BOX, "--no-display", "--max-frames", 3, "--fps", 12]
    call(*options, "--debug", "--results", "a.csv")
    said = capsys.readouterr().err
    assert ("--fps 12 is for folders of images" in said) == (source == "clip")
    assert "--debug draws, and there is no window and no --save" in said
    call(*options, "--debug", "--save", "a.mp4")
    assert "--debug" not in capsys.readouterr().err


def test_what_an_option_cannot_do_in_a_batch_is_said_once(call, clip, tmp_path, capsys) -> None:
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "0.png"), scene.picture(0))
    (tmp_path / "boxes.csv").write_text(
        "video,x,y,w,h\n"
        + "".join(f"{where},{BOX}\n" for where in ("frames", clip, clip.parent / "*"))
    )
    options = ["--batch", "boxes.csv", "--max-frames", 3, "--fps", 12, "--debug"]
    call(*options, "--out", "a")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 5
    assert said[0] == "--debug draws, and there is no --save-videos to draw on"
    assert said[2] == "--fps 12 is for folders of images; videos have their own rates"
    call(*options, "--out", "b", "--save-videos")
    assert "--debug" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--video", "none.mp4"], "there is no file or folder"),
        (
            ["--video", "CLIP", "--init-box", "400,300,9,9", "--results", "a.csv"],
            "lies outside the frame of 320 x 240",
        ),
        (["--video", "CLIP", "--init-box", "10,10,0,9", "--results", "a.csv"], "positive width"),
        (
            ["--video", "CLIP", *["--init-box", BOX] * 2, "--results", ".", "--results-format=otb"],
            "is a folder",
        ),
        (["--video", "CLIP"], "give its box in the first frame with --init-box"),
        (["--video", "CLIP", "--init-box", BOX], "add --save out.mp4 or --results"),
        (["--init-box", BOX], "--init-box needs a source"),
        (["--images", "CLIP"], "--images needs a folder"),
        (["--camera", "-1"], "cameras are numbered from 0"),
        (["--video", "CLIP", "--init-box", BOX, "--save", "a.txt"], "a video's name ends in"),
        (["--video", "CLIP", "--init-box", BOX, "--results", "a.xyz"], "results go to a name"),
        (["--video", "CLIP", "--init-box", BOX, "--results", "-"], "with --results-format"),
        (
            ["--video", "CLIP", *["--init-box", BOX] * 2, "--results=-", "--results-format=otb"],
            "standard output takes one target",
        ),
        (["--video", "CLIP", "--init-box", BOX, "--results", "no/a.csv"], "does not exist"),
        (["--batch", "none.csv", "--out", "out"], "none.csv cannot be read"),
        (["--batch", "none.csv"], "--batch needs --out"),
        (
            ["--video", "CLIP", "--init-box", BOX, "--save-videos"],
            "--save-videos goes with --batch",
        ),
        (
            ["--video", "CLIP", "--init-box", BOX, "--save", "a.mp4", "--results-format", "mot"],
            "--results-format needs --results",
        ),
        (["--batch", "none.csv", "--out", "o", "--save", "a.mp4"], "leave out --init-box, --save"),
    ],
)
def test_mistakes_are_said_in_one_sentence_and_leave_nothing(
    call, clip, tmp_path, arguments, said
) -> None:
    with pytest.raises(UserError) as caught:
        call(*(str(clip) if a == "CLIP" else a for a in arguments), "--no-display")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == []


def test_a_second_box_that_cannot_be_leaves_no_results(call, clip, tmp_path) -> None:
    with pytest.raises(UserError, match="outside the frame"):
        call("--video", clip, "--no-display", "--init-box", BOX, "--init-box", "400,300,9,9",
             "--results", "a.csv")  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == []


def test_without_options_the_sample_plays_and_says_where_its_video_is(
    call, clip, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(job, "load_sample", lambda: (clip, (30.0, 60.0, 40.0, 40.0)))
    for name in ("demo_sample.mp4", "demo_sample_2.mp4"):
        assert call("--no-display") == 0
        assert f"annotated video: {name}" in capsys.readouterr().out
        assert len(scene.read_clip(tmp_path / name)[0]) == 60


SAMPLE = ["--video", sample_clip()[0], "--no-display", "--results", "o.csv", "--device", "cpu"]


IN_IT = [*SAMPLE, "--init-box", "150,80,40,40"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--video", "none.mp4"], "there is no file or folder none.mp4; check the path"),
        (["--video", "words.mp4"], "words.mp4 cannot be read as a video"),
        (["--video", "."], "the folder . holds no images"),
        (["--video", "empty.mp4"], "empty.mp4 is an empty file"),
        (["--images", "empty"], "the folder empty holds no images; it has no files at all"),
        (["--video", "http://127.0.0.1:9/a.mp4"], "cannot be opened; check the address"),
        (["--video", "a" * 300], "File name too long; give a shorter name"),
        ([*IN_IT, "--save", "a" * 300 + ".mp4"], "File name too long; give a shorter name"),
        (["--video", ""], "the name is empty; give a path"),
        ([*IN_IT, "--threads", "20000"], "a whole number of 1 to 256 is needed, found 20000"),
        (["--camera", "99999999999999"], "camera 99999999999999 cannot be opened"),
        (["--camera", "99"], "camera 99 cannot be opened; is it plugged in"),
        (["--init-box", "1,2,3"], "a box is four numbers x,y,w,h in pixels"),
        ([*SAMPLE, "--init-box", "4000,3000,9,9"], "lies outside the frame of 640 x 360 pixels"),
        ([*SAMPLE, "--init-box", "9,9,-5,9"], "positive width and height, found -5 x 9"),
        ([*IN_IT, "--model", "nobody"], "one of: kestrel"),
        ([*IN_IT, "--model", "cut/kestrel"], "the search graph of cut/kestrel cannot be loaded"),
        ([*IN_IT, "--model", "sums/kestrel"], "is not the file that SHA256SUMS lists"),
        ([*IN_IT, "--device", "tpu"], "there is no device 'tpu'; choose"),
        ([*IN_IT, "--threads", "0"], "a whole number of 1 to 256 is needed, found 0"),
        ([*IN_IT, "--fps", "-3"], "a number of frames a second above 0 is needed, found -3"),
        ([*IN_IT, "--max-frames", "many"], "a whole number above 0 is needed, found many"),
    ],
)
def test_demo_py_says_what_is_wrong_and_exits_with_2(tmp_path, arguments, said) -> None:
    (tmp_path / "words.mp4").write_text("words, not pictures\n" * 200)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "empty").mkdir()
    for folder in ("cut", "sums"):
        (tmp_path / folder).mkdir()
        for role in ROLES:
            graph = (weights_folder() / f"kestrel.{role}.onnx").read_bytes()
            cut = folder == "cut" and role == "search"
            (tmp_path / folder / f"kestrel.{role}.onnx").write_bytes(graph[:3000] if cut else graph)
    (tmp_path / "sums" / "SHA256SUMS").write_text("00  kestrel.search.onnx\n")
    status, out, err = finish(start(*arguments, script=ROOT / "demo.py", cwd=tmp_path))
    assert status == 2 and out == ""
    sentences = [line for line in err.splitlines() if not line.startswith(("usage", "  "))]
    assert len(sentences) == 1 and re.search(r"error: \S", sentences[0]) and said in sentences[0]
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize(
    "box, kept",
    [("-5,60,40,40", [0, 60, 35, 40]), ("30,60,1e10,1e300", [30, 60, 290, 180])],
)
def test_a_target_may_begin_outside_of_the_frame_and_its_result_lies_in_it(
    call, clip, tmp_path, box, kept
) -> None:
    options = ("--no-display", "--results", "o.csv", "--save", "o.mp4", "--max-frames", 3)
    call("--video", clip, "--init-box", box, *options)
    assert boxes_in(tmp_path / "o.csv")[0, 1] == kept


def test_torch_is_not_imported(tmp_path) -> None:
    code = (
        "import sys, tracker.app.cli; print('torch' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False False\n"


@pytest.mark.parametrize(
    ("live", "window", "paced"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_a_session_knows_whether_frames_come_at_a_pace(
    clip, tmp_path, monkeypatch, live, window, paced
) -> None:
    opened = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(video_file.VideoFile, "live", live)
    monkeypatch.setattr(job, "Prefetch", lambda source: source)
    cli.run(
        ["--video", str(clip), "--init-box", "30,60,40,40", "--results", "out.csv", "--quiet"]
        + ["--max-frames", "2", *([] if window else ["--no-display"])],
        make_session=lambda paced: opened.append(paced) or scene.ColourSession(paced),
        make_screen=lambda title, size: stage.Script(stage.Clock()),
    )
    assert opened == [paced]


@pytest.mark.parametrize("batch", [False, True])
def test_a_live_picture_is_taken_when_the_network_is_there(
    clip, tmp_path, monkeypatch, batch
) -> None:
    """One from before it was loaded is old, and the target is elsewhere in the second."""
    order, read = [], video_file.VideoFile.read
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(video_file.VideoFile, "live", True)
    monkeypatch.setattr(
        video_file.VideoFile, "read", lambda *args, **named: order.append("read") or read(*args)
    )
    (tmp_path / "boxes.csv").write_text(f"video,x,y,w,h\n{clip},{BOX}\n")
    one = ["--video", clip, "--init-box", BOX, "--no-display", "--results", "o.csv"]
    cli.run(
        [*map(str, ["--batch", "boxes.csv", "--out", "out"] if batch else one), "--max-frames=2"],
        make_session=lambda paced: order.append("session") or scene.ColourSession(paced),
    )
    assert order[:3] == ["session", "read", "read"]


def test_the_choice_of_device_is_said_once(clip, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--video", str(clip), "--init-box", "30,60,40,40", "--no-display"]
    cli.run([*arguments, "--results", "a.csv", "--max-frames", "2"])
    assert capsys.readouterr().err.count("running on") == 1
    cli.run([*arguments, "--results", "b.csv", "--max-frames", "2", "--quiet"])
    assert "running on" not in capsys.readouterr().err


def test_the_version_is_said(call, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        call("--version")
    assert end.value.code == 0
    assert capsys.readouterr().out == f"siamtrack {tracker.__version__}\n"

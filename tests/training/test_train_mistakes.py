"""What ``tools/train.py`` refuses: one sentence, and nothing is written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.train_tool import SMALL, tool


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "--data names what to train on"),
        (("--data", "{data}"), "--out names the folder of the run"),
        (("--data", "{data}", "--toy"), "--toy renders its own data"),
        (("--data", "no/where", "--out", "{out}"), "there is no training data at no/where"),
        (("--data", "{data}", "--out", "{out}", "--resume"), "to go on from"),
        (("--data", "{data}", "--out", "{out}", "--init", "no.pt"), "no model of this name; give"),
        (("--data", "{data}", "--out", "{out}", "--similarity", "dot"), "not an option of kestrel"),
        (("--toy", "--network", "siamfc", "--hidden", ".2"), "--hidden is not an option of siamfc"),
        (("--toy", "--network", "siamfc", "--later", ".5"), "--later is not an option of siamfc"),
        (("--toy", "--network", "siamfc", "--nce-weight", "1"), "--nce-weight is not an option of"),
        (("--toy", "--network", "siamfc", "--score-loss", "focal"), "--score-loss is not an"),
        (("--toy", "--network", "siamfc", "--box-weight", "3"), "--box-weight is not an option of"),
        (("--toy", "--network", "siamfc", "--margin", "0"), "--margin is not an option of siamfc"),
        (("--toy", "--radius", "8"), "--radius is not an option of kestrel"),
        (("--data", "{data}", "--out", "{out}", "--trunk-lr", "1,2"), "takes 1 or 6 factors"),
        (("--data", "{data}", "--out", "{out}", "--frozen", "7"), "a stem and 5 stages"),
        (("--data", "{data}", "--out", "{out}", "--shift", "200"), "options of the pairs"),
        (
            ("--toy", "--network", "siamfc", "--shift", "80"),
            "--shift 80 puts targets beside the answers of siamfc, which reach 75 pixels off the "
            "middle with --radius 16; give less",
        ),
        (
            ("--toy", "--network", "siamfc", "--shift", "70", "--radius", "2"),
            "which reach 68 pixels off the middle with --radius 2",
        ),
        (
            ("--data", "{data}", "--out", "{out}", "--unfreeze-at", "0.5:2", "--unfreeze-at",
             "0.2:0"), "in the order of its shares",
        ),
        (
            ("--data", "{data}", "--out", "{out}", "--network", "siamfc", "--mine-every", "9"),
            "SiamFC has none",
        ),
        (
            ("--data", "{data}", "--val-clip", "no.mp4", "--out", "{out}", "--init", "none"),
            "there is no clip no.mp4",
        ),
        (
            ("--data", "{data}", "--val-clip", "a/x.mp4", "--val-clip", "./a/x.mp4", "--out",
             "{out}", "--init", "none"), "two clips of --val-clip would be called a/x",
        ),
        (("--data", "{data}", "--show-pairs", "many", "x.png"), "takes a number of 1 to 400"),
        (("--data", "{data}", "--show-pairs", "²", "x.png"), "takes a number of 1 to 400"),
        (("--data", "", "--out", "{out}"), "'' names no training data"),
        (("--data", "got10k:@2", "--out", "{out}"), "'got10k:@2' names no training data"),
        (("--data", "a" * 300, "--out", "{out}"), "File name too long; give a shorter name"),
        (("--data", "{data}", "--out", "a" * 300), "File name too long; give a shorter name"),
        (
            ("--data", "{data}", "--out", "{out}", "--init", "a" * 300),
            "File name too long; give a shorter name",
        ),
        (("--schedule", "exponential", "--final", "0"), "learns nothing after the warm-up"),
    ],
)  # fmt: skip
def test_mistakes(
    args: tuple[str, ...],
    message: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [a.format(data=data, out=tmp_path / "out") for a in args]
    status, said = tool(monkeypatch, capsys, "train", *filled, "--quiet")
    assert status == 2
    assert said.startswith("error: ") and said.count("\n") == 1
    assert message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "args",
    [
        ("--lr", "fast"), ("--pairs", "0"), ("--grey", "2"), ("--unfreeze-at", "3"),
        ("--threads", "1e11"), ("--workers", "99999"), ("--channels", "1000000"),
        ("--tower-depth", "65"), ("--ema", "1"),
    ],
)  # fmt: skip
def test_options_that_are_no_numbers(
    args: tuple[str, ...],
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, said = tool(monkeypatch, capsys, "train", "--data", data, *args)
    assert status == 2
    assert "found" in said or "needed" in said


def test_checkpoint_of_another_network(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    status, _ = tool(
        monkeypatch, capsys, "train", "--data", data, "--out", out, *SMALL, "--pairs", "2"
    )
    assert status == 0
    path = out / "checkpoint.pt"
    for extra, message in (
        (("--network", "siamfc"), "is of a kestrel, not of a siamfc"),
        (("--channels", "16"), "was built with channels 8; leave --channels out, or begin anew"),
        (("--tower-depth", "2"), "was built with tower-depth 1; leave --tower-depth out"),
    ):
        status, said = tool(
            monkeypatch, capsys, "train", "--data", data, "--out", tmp_path / "new", "--quiet",
            "--init", path, *extra,
        )  # fmt: skip
        assert (status, said.count("\n")) == (2, 1)
        assert message in said


def test_a_similarity_stays_what_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each has a scale of its own, and weights of one fit in the others without a word."""
    call = ("train", "--data", data, "--network", "siamfc", *SMALL[6:])
    out, new = tmp_path / "run", tmp_path / "new"
    assert tool(monkeypatch, capsys, *call, "--out", out, "--pairs", "2")[0] == 0
    path = out / "checkpoint.pt"
    before = path.read_bytes()
    for other in (("--out", out, "--resume"), ("--out", new, "--init", path)):
        more = (*other, "--pairs", "4", "--similarity")
        status, said = tool(monkeypatch, capsys, *call, *more, "cosine")
        assert (status, said.count("\n")) == (2, 1)
        told = "was built with similarity dot; leave --similarity out, or begin anew"
        assert f"{path} {told}" in said
        assert path.read_bytes() == before and not new.exists()
    for other in (("--out", new, "--init", path), ("--out", out, "--resume")):
        more = (*other, "--pairs", "4", "--similarity", "dot")
        assert tool(monkeypatch, capsys, *call, *more)[0] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"record": 7}, {"record": {"settings": {"channels": -5}}}, {"network": ["kestrel"]},
        {"record": {"settings": {"trunk_widths": [1, 2]}}}, {"record": {"settings": {"x": 1}}},
    ],
)  # fmt: skip
def test_a_start_with_hostile_settings_is_one_sentence(
    change: dict[str, object],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tracker.training.checkpoint import save_checkpoint

    path = tmp_path / "start.pt"
    save_checkpoint(path, {"network": "kestrel", "average": {}, "record": {}} | change)
    call = ("--data", data, "--out", tmp_path / "new", "--quiet", "--init", path)
    status, said = tool(monkeypatch, capsys, "train", *call)
    assert (status, said.count("\n")) == (2, 1)
    assert "start.pt is " in said


@pytest.mark.parametrize("name", ["log.csv", "validation.csv", "losses.png", "start.pt"])
def test_files_of_others_stay_where_there_is_no_checkpoint(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(b"step,precious\n1,2\n")
    given = ("--data", data, "--out", out, *SMALL, "--pairs", "2")
    status, said = tool(monkeypatch, capsys, "train", *given)
    assert status == 2 and f"{name} exists and there is no checkpoint" in said
    assert [p.name for p in out.iterdir()] == [name]
    assert (out / name).read_bytes() == b"step,precious\n1,2\n"
    status, _ = tool(monkeypatch, capsys, "train", *given, "--overwrite")
    assert status == 0 and b"precious" not in (out / "log.csv").read_bytes()
    for checkpoint in (out / "checkpoint.pt", out / "start.pt"):
        before, init = checkpoint.read_bytes(), ("--init", checkpoint)
        status, said = tool(monkeypatch, capsys, "train", *given, "--overwrite", *init)
        assert status == 2 and "would be replaced by the run" in said
        assert checkpoint.read_bytes() == before
    teacher = ("--teacher", out / "checkpoint.pt", "--frozen", "5")
    for more in ("--overwrite", "--resume"):  # it would learn from itself
        status, said = tool(monkeypatch, capsys, "train", *given, *teacher, more)
        assert status == 2 and "would be replaced by the run" in said


@pytest.mark.parametrize(
    ("name", "words"), [("pairs.png", "exists; add --overwrite"), ("pairs.doc", "ends in .png")]
)
def test_a_sheet_that_cannot_be_is_refused(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: str,
) -> None:
    picture = next(data.rglob("*.png"))
    before = picture.read_bytes()
    again = ("train", "--data", data, "--overwrite", "--show-pairs", "3", picture)
    status, said = tool(monkeypatch, capsys, *again)
    assert status == 2 and "is one of the pictures" in said and picture.read_bytes() == before
    (tmp_path / "pairs.png").write_bytes(b"precious")
    given = ("train", "--data", data, "--show-pairs", "3", tmp_path / name)
    status, said = tool(monkeypatch, capsys, *given)
    assert status == 2 and words in said and said.count("\n") == 1
    assert (tmp_path / "pairs.png").read_bytes() == b"precious"


@pytest.mark.parametrize("option", ["--quality", "--hidden"])
def test_the_focal_loss_takes_no_scores_in_between(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--toy", "--score-loss", "focal", option, "0.5", "--out", tmp_path / "run")
    status, said = tool(monkeypatch, capsys, "train", *given)
    assert status == 2 and "take --score-loss bce" in said
    assert not (tmp_path / "run" / "checkpoint.pt").exists()

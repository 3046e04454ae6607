"""The csv of first boxes, and many clips in one run."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tracker.app.batch import check_batch, outputs_of, read_batch, run_batch
from tracker.app.sources import open_source
from tracker.errors import UserError


def table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "boxes.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_rows_become_clips_with_their_targets(tmp_path, encoding, newline, comma) -> None:
    rows = [
        "video,x,y,w,h,label",
        "a/clip.mp4,1,2,3,4,Käfer",
        "b/clip.mp4,5,6,7.5,8,",
        "a/clip.mp4,9,9,9,9,",
        "rtsp://host/live,1,1,2,2,door",
    ]
    clips = read_batch(table(tmp_path, newline.join(r.replace(",", comma) for r in rows), encoding))
    assert [c.name for c in clips] == ["clip", "clip_2", "live"]
    assert clips[0].where == str(tmp_path / "a/clip.mp4")
    assert clips[0].boxes == (((1, 2, 3, 4), "Käfer"), ((9, 9, 9, 9), None))
    assert clips[1].boxes == (((5, 6, 7.5, 8), None),)
    assert clips[2].where == "rtsp://host/live"


@pytest.mark.parametrize("comma", [",", ";", "\t"])
@pytest.mark.parametrize(
    "label",
    [
        "the 'red' one",
        "'red'",
        "dogs' toy",
        'a 5" nail',
        "l'uomo",
        "one|two: three",
        "a - b",
        "a\u2028b",
    ],
)
def test_names_and_labels_may_hold_quotation_marks(tmp_path, comma, label) -> None:
    rows = ["video", *"xywh", "label", "note"], [f"{label}.mp4", *"1234", label, "left"]
    (clip,) = read_batch(table(tmp_path, "\n".join(map(comma.join, rows))))
    assert clip.where == str(tmp_path / f"{label}.mp4")
    assert clip.boxes == (((1, 2, 3, 4), label),)


@pytest.mark.parametrize("comma", [";", "\t"])
@pytest.mark.parametrize("stated", [False, True])
def test_what_a_spreadsheet_writes_where_decimals_have_commas_is_read(
    tmp_path, comma, stated
) -> None:
    rows = ["Video;x;y;w;h;Label", "a.mp4;69,0;50,25;107.5;87;red, small", ";;;;;", "", "; ;;;;"]
    lines = [f"sep={comma}"] * stated + [row.replace(";", comma) for row in rows]
    (clip,) = read_batch(table(tmp_path, "\r\n".join(lines), "utf-8-sig"))
    assert clip.boxes == (((69, 50.25, 107.5, 87), "red, small"),)


@pytest.mark.parametrize("number", ["0,069", "-0,069", "0069,500", "69,50", "69,5000", "1069,000"])
def test_a_comma_that_separates_no_thousands_is_a_decimal_one(tmp_path, number) -> None:
    (clip,) = read_batch(table(tmp_path, f"video;x;y;w;h\na.mp4;{number};2;3;4\n"))
    assert clip.boxes[0][0][0] == float(number.replace(",", "."))


def test_a_first_line_that_states_the_separator_counts_as_a_line(tmp_path) -> None:
    clips = read_batch(table(tmp_path, '"SEP=|"\nvideo|x|y|w|h\na,b;c.mp4|1|2|3|4\n'))
    assert clips[0].where == str(tmp_path / "a,b;c.mp4")
    with pytest.raises(UserError, match="line 3: x,y,w,h are four"):
        read_batch(table(tmp_path, "sep=;\nvideo;x;y;w;h\na.mp4;1;2;3;four\n"))


def test_columns_that_nobody_reads_may_have_any_names_and_fields_without_text_do_no_harm(
    tmp_path,
) -> None:
    text = "video,x,y,w,h,note,note,,\na.mp4,1,2,3,4,5,6,7,8, ,\n"
    (clip,) = read_batch(table(tmp_path, text))
    assert clip.boxes == (((1, 2, 3, 4), None),)


def test_commas_that_trail_behind_a_row_without_a_label_do_no_harm(tmp_path) -> None:
    text = "video,x,y,w,h,label\na.mp4,1,2,3,4,,,\n"
    (clip,) = read_batch(table(tmp_path, text))
    assert clip.boxes == (((1, 2, 3, 4), None),)
    text = "label,video,x,y,w,h\nfox,a.mp4,1,2,3,4,\n"
    (clip,) = read_batch(table(tmp_path, text))
    assert clip.boxes == (((1, 2, 3, 4), "fox"),)


@pytest.mark.parametrize("name", ["0", "-"])
def test_a_name_beside_the_table_is_no_camera_and_no_pipe(tmp_path, monkeypatch, name) -> None:
    monkeypatch.chdir(tmp_path)
    Path("boxes.csv").write_text(f"video,x,y,w,h\n{name},1,2,3,4\n")
    (clip,) = read_batch(Path("boxes.csv"))
    assert clip.name == name
    with pytest.raises(UserError, match="there is no file or folder"):
        open_source(clip.where, pytest.fail)


def test_only_what_stands_in_the_table_is_a_pattern(tmp_path) -> None:
    """And not its folder, whatever letters are in the folder's name."""
    folder = tmp_path / "br [1]"
    folder.mkdir()
    for name in ("a1.png", "a2.png", "b[2].png"):
        cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
    rows = "video,x,y,w,h\na*.png,1,2,3,4\na2.png,1,2,3,4\nb[2].png,1,2,3,4\n"
    clips = read_batch(table(folder, rows))
    assert [open_source(c.where, pytest.fail).frame_count for c in clips] == [2, 1, 1]
    assert [c.name for c in clips] == ["a_", "a2", "b_2_"]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "an empty file"),
        ("file,x,y\n", "needs a first line with the columns"),
        ("video,x,y,w,h\n", "names no clip"),
        ("video,x,y,w,h\na.mp4,1,2,3\n", "line 2: x,y,w,h are four numbers"),
        ("video,x,y,w,h\na.mp4,1,2,3,4\nb.mp4,1,two,3,4\n", "line 3"),
        ("video,x,y,w,h\na.mp4,1,2,0,4\n", "positive"),
        ("video,x,y,w,h\na.mp4,nan,2,3,4\n", "finite"),
        ("video,x,y,w,h\n,1,2,3,4\n", "the column video is empty"),
        ("video;x;y;w;h\n;;;;\n", "names no clip"),
        ("sep=;\n", "found an empty file"),
        ("sep=;\nvideo,x,y,w,h\n", "needs a first line with the columns"),
        ("video,x,y,w,h,X\na.mp4,1,2,3,4,5\n", "has the column x twice"),
        ("video,label,x,y,w,h,label\n", "has the column label twice"),
        (
            "video,x,y,w,h,label\na.mp4,69,5,50,3,107,5,87,2,fox\n",
            "line 2 has 10 fields, the header 6: put names with commas into quotes, "
            "write decimals with a point",
        ),
        (
            "video;x;y;w;h\na;b.mp4;1;2;3;4\n",
            "line 2 has 6 fields, the header 5: put names with semicolons into quotes",
        ),
        (
            "video;x;y;w;h\na.mp4;1.069,5;2;3;4\n",
            "found '1.069,5 2 3 4'; write decimals with a point",
        ),
        ('video,x,y,w,h\na.mp4,"69,5",2,3,4\n', "found '69,5 2 3 4'; write decimals"),
        (
            "video;x;y;w;h\na.mp4;10;1,069;30;40\n",
            "line 2: 1,069 may be 1069 or 1.069; write it without a comma or with a point",
        ),
        ("video\tx\ty\tw\th\na.mp4\t-12,500\t2\t3\t4\n", "-12,500 may be -12500 or -12.500"),
        (
            "video,x,y,w,h,label\na.mp4,69,5,50,30,20,\n",
            "line 2 has 7 fields, the header 6: put names with commas into quotes, "
            "write decimals with a point",
        ),
    ],
)
def test_a_wrong_table_is_one_sentence_with_its_line(tmp_path, text, said) -> None:
    with pytest.raises(UserError) as caught:
        read_batch(table(tmp_path, text))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_or_binary_table_is_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_batch(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="no UTF-8"):
        read_batch(tmp_path / "a.csv")


def test_failed_clips_stop_no_other_and_done_ones_are_skipped(tmp_path) -> None:
    rows = "".join(f"\n{name}.mp4,1,2,3,4" for name in "abc")
    clips = read_batch(table(tmp_path, "video,x,y,w,h" + rows))
    plans = [outputs_of(clip, tmp_path / "out", ".csv") for clip in clips]
    (tmp_path / "out").mkdir()
    calls, notes = [], []

    def follow(clip, path):
        calls.append(clip.name)
        path.write_text("begun")
        if clip.name == "b" and len(calls) < 4:
            raise UserError("b is damaged")
        path.write_text("done")
        return 5

    with pytest.raises(UserError, match="1 of 3 clips failed"):
        run_batch(clips, plans, follow, notes.append)
    assert calls == ["a", "b", "c"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.csv", "b.part.csv", "c.csv"]
    run_batch(clips, plans, follow, notes.append)
    assert calls == ["a", "b", "c", "b"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.csv", "b.csv", "c.csv"]
    assert any("b is damaged" in n for n in notes) and any("skipped" in n for n in notes)


def test_what_is_kept_of_a_clip_that_failed_is_named(tmp_path) -> None:
    rows = "".join(f"\n{name}.mp4,1,2,3,4" for name in "ab")
    clips = read_batch(table(tmp_path, "video,x,y,w,h" + rows))
    plans = [outputs_of(clip, tmp_path / "out", ".txt", videos=True) for clip in clips]
    (tmp_path / "out").mkdir()
    old = tmp_path / "out" / "b.part.txt"
    old.write_text("of an earlier run")

    def follow(clip, path):
        if clip.name == "a":
            path.write_text("1,2,3,4")
            path.with_suffix(".mp4").write_text("half")
        raise UserError(f"{clip.name} is damaged; the frames before are kept")

    notes = []
    with pytest.raises(UserError, match="2 of 2 clips failed"):
        run_batch(clips, plans, follow, notes.append)
    kept = " and ".join(str(tmp_path / "out" / f"a.part.{end}") for end in ("txt", "mp4"))
    assert notes == [
        f"[1/2] a: a is damaged; the frames before are kept (in {kept})",
        "[2/2] b: b is damaged; the frames before are kept",
    ]
    assert old.read_text() == "of an earlier run"


def test_a_clip_is_done_where_all_of_its_files_are(tmp_path) -> None:
    clips = read_batch(table(tmp_path, "video,x,y,w,h\na.mp4,1,2,3,4\nb.mp4,1,2,3,4"))
    results, both = (
        [outputs_of(clip, tmp_path, ".csv", videos=videos) for clip in clips]
        for videos in (False, True)
    )
    notes = []

    def follow(clip, path):
        for begun in path, path.with_suffix(".mp4"):
            begun.write_text("new")
        return 1

    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(UserError, match="1 of 2 clips failed"):
        run_batch(clips, both, follow, notes.append)
    assert "a.mp4 is missing and" in notes[0] and "a.csv exists; add --overwrite" in notes[0]
    assert (tmp_path / "a.csv").read_text() == "old" and not (tmp_path / "a.mp4").exists()
    assert (tmp_path / "b.mp4").read_text() == "new"
    run_batch(clips, results, lambda clip, path: pytest.fail("done already"), notes.append)
    run_batch(clips, both, follow, notes.append, overwrite=True)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "a.mp4").read_text() == "new"
    run_batch(clips, both, lambda clip, path: pytest.fail("done already"), notes.append)
    assert sum("skipped" in note for note in notes) == 4


@pytest.mark.parametrize("order", ["a.mp4 a.mp4 a_2.mp4", "a_2.mp4 a.mp4 a.mp4"])
def test_a_second_target_and_a_clip_of_the_same_name_are_refused_up_front(tmp_path, order) -> None:
    rows = "".join(f"\n{name},1,2,3,4" for name in order.split())
    clips = read_batch(table(tmp_path, "video,x,y,w,h" + rows))
    plans = [outputs_of(clip, tmp_path / "out", ".txt", own_files=True) for clip in clips]
    with pytest.raises(UserError, match=r"both be written to \S+a_2.txt; rename one"):
        check_batch(clips, plans, [])
    plans = [outputs_of(clip, tmp_path / "out", ".csv") for clip in clips]
    check_batch(clips, plans, [])


def test_the_unfinished_file_of_one_clip_is_not_the_result_of_another(tmp_path) -> None:
    clips = read_batch(table(tmp_path, "video,x,y,w,h\nA.mp4,1,2,3,4\na.part.mp4,1,2,3,4"))
    with pytest.raises(UserError, match=r"a\.part\.csv; rename one"):
        check_batch(clips, [outputs_of(c, tmp_path, ".csv") for c in clips], [])


def test_a_name_too_long_for_the_disk_fails_alone(tmp_path) -> None:
    rows = f"\n{'n' * 249}.mp4,1,2,3,4\nb.mp4,1,2,3,4"
    clips = read_batch(table(tmp_path, "video,x,y,w,h" + rows))
    plans = [outputs_of(clip, tmp_path / "out", ".csv") for clip in clips]
    (tmp_path / "out").mkdir()
    check_batch(clips, plans, [])
    notes = []

    def follow(clip, path):
        path.write_text("done")
        return 1

    with pytest.raises(UserError, match="1 of 2 clips failed"):
        run_batch(clips, plans, follow, notes.append)
    assert (tmp_path / "out" / "b.csv").read_text() == "done"
    assert "File name too long" in notes[0] and notes[0].startswith("[1/2] nnn")

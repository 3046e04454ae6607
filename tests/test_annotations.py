"""Annotation files in every form that people have, and files that are none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.data.annotations import check_start, parse_boxes, read_boxes, read_outlines
from tracker.errors import UserError
from tracker.geometry import polygon_area

NAN = [np.nan] * 4


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,2,3,4\n5,6,7,8", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("1\t2\t3\t4\r\n5 6  7 8\r\n\r\n", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("1;2;3;4\r5, 6, 7, 8", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        (" 1.5, -2e1, .5, 4. \n", [[1.5, -20, 0.5, 4]]),
        ("1,2,3,4\nnan,nan,nan,nan\nNaN,NaN,NaN,NaN", [[1, 2, 3, 4], NAN, NAN]),
        ("1,2,3,4\n0,0,0,0\n5,5,0,3", [[1, 2, 3, 4], NAN, NAN]),
        ("10,10,30,12,28,40,8,38", [[8, 10, 22, 30]]),
        ("1,2,3,4\n0\n1\n2\n", [[1, 2, 3, 4], NAN, NAN, NAN]),
        ("frame,x,y,w,h,score\n0,1,2,3,4,.9\n1,,,,,.1", [[1, 2, 3, 4], NAN]),
        ("Height width top left\n4,3,2,1", [[1, 2, 3, 4]]),
        ("frame,time (s),xmin,ymin,w,h\n0,0.5,1,2,3,4\n1,0.6,,,,", [[1, 2, 3, 4], NAN]),
        ("frame;;x;y;w;h\n0;9;1;2;3;4", [[1, 2, 3, 4]]),
        ('frame,label,x,y,w,h\n0,"cup, red",1,2,3,4', [[1, 2, 3, 4]]),
        ("frame,x,y,w,h\n1,1,2,3,4\n2,5,6,7,8", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("frame,x,y,w,h\n9.jpg,1,2,3,4\n11.jpg,5,6,7,8", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        # a 4 x 3 mask at (10, 20): row 1 has columns 1 and 2, row 2 column 0
        ("m10,20,4,3,5,2,1,1", [[10, 21, 3, 2]]),
        ("m10,20,4,3,2,5", [[10, 20, 4, 2]]),
        ("m10,20,4,3,12", [NAN]),
    ],
    ids=["commas", "tabs-spaces-crlf", "semicolons-cr", "number-forms", "nan", "no-size",
         "polygon", "vot-codes", "own-csv", "header-order",
         "header-of-words", "header-without-a-name", "quoted-cells", "frames-from-1",
         "frames-by-name",
         "mask", "mask-wraps", "mask-empty"],
)  # fmt: skip
def test_forms(text, rows):
    np.testing.assert_array_equal(parse_boxes(text), np.array(rows, dtype=float))


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf1,2,3,4\n",
        "1,2,3,4\n".encode("utf-16"),
        b"1,2,3,4\n",
    ],
    ids=["utf-8-bom", "utf-16", "plain"],
)
def test_encodings(tmp_path, raw):
    path = tmp_path / "Größe einer Säule.txt"
    path.write_bytes(raw)
    np.testing.assert_array_equal(read_boxes(path), [[1, 2, 3, 4]])
    np.testing.assert_array_equal(read_boxes(path, one_based=True), [[0, 1, 3, 4]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("1,2,3", "line 1: a box has 4 numbers"),
        ("1,2,3,4\n1,2,3,4,5", "line 2: a box has 4 numbers"),
        ("1,1,794.2,247.5,71.2,174.8,1,-1,-1,-1", "line 1: .* found 10; name the columns"),
        ("0,128,79,64,78,.9", "line 1: .* found 6; name the columns"),
        ("12,5;30,1;40,2;50,7", "line 1: .* decimals with a point"),
        ("1,2,3,4\n\n1,2,3,4", "line 2"),
        ("1,2,3,four", "'four' is not a number"),
        ("1,2,3,1_0", "'1_0' is not a number"),
        ("1,2,3,inf", "'inf' is not a number"),
        ("1,2,3,٣", "is not a number"),
        ("1,2,3,1e99", "no pixel coordinate"),
        ("1,2,-3,4", "negative size"),
        ("__import__('os')", "is not a number"),
        ("m1,2,3", "a mask is"),
        ("m0,0,2,2,9,9", "do not fit"),
        ("x,y,w,h\n", "no box below"),
        ("x,y,w,h\n1,2,3", "fewer columns"),
        ("frame,x,y,w,h\n0,1,2,3,4\n5,1,2,3,4", "line 3: frame 5 where frame 1 is due"),
        ("frame,id,x,y,w,h\n0,1,1,2,3,4\n0,2,9,9,3,4", "line 3: frame 0 where frame 1 is due"),
        ("Frame;x;y;w;h\n50;1;2;3;4", "line 2: frame 50 where frame 1 is due"),
    ],
)
def test_refusals_name_the_line(text, words):
    with pytest.raises(UserError, match=words) as caught:
        parse_boxes(text, "truth.txt")
    assert "truth.txt" in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_no_annotations(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_boxes(tmp_path / "missing.txt")
    with pytest.raises(UserError, match="cannot be read"):
        read_boxes(tmp_path)
    (tmp_path / "clip.txt").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(UserError, match="binary"):
        read_boxes(tmp_path / "clip.txt")


def test_the_first_line_must_start_the_tracker():
    with pytest.raises(UserError, match="first line has no box"):
        check_start(parse_boxes("nan,nan,nan,nan\n1,2,3,4"), "a.txt")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80) | st.text(alphabet="0123456789.,;- \t\r\nnamxywh", max_size=80))
def test_any_text_gives_boxes_or_one_sentence(text):
    try:
        boxes = parse_boxes(text)
    except UserError as error:
        assert len(str(error)) < 300
        return
    assert boxes.ndim == 2 and boxes.shape[1] == 4
    seen = np.isfinite(boxes).all(axis=1)
    assert np.isnan(boxes[~seen]).all()
    assert (boxes[seen, 2:] > 0).all()


def test_outlines_beside_the_boxes(tmp_path):
    path = tmp_path / "groundtruth.txt"
    path.write_text("1,0,2,1,1,2,0,1\r\n3,4,5,6\r\nnan,0,2,1,1,2,0,1\r\n0\r\n")
    boxes = read_boxes(path)
    corners, masks = read_outlines(path, boxes)
    assert corners[:2].tolist() == [
        [[1, 0], [2, 1], [1, 2], [0, 1]],
        [[3, 4], [8, 4], [8, 10], [3, 10]],
    ]
    assert np.isnan(corners[2:]).all() and not masks
    path.write_text("3,4,5,6\n")
    assert read_outlines(path, boxes[:1]) == (None, False)
    path.write_text("3,4,5,6\nm0,0,1,1,0,1\n")
    assert read_outlines(path, boxes[:2]) == (None, True)


@pytest.mark.parametrize("way", list(itertools.permutations([(1, 0), (7, 2), (6, 5), (0, 3)])))
def test_corners_in_any_order_are_those_of_one_outline(tmp_path, way):
    path = tmp_path / "groundtruth.txt"
    path.write_text(",".join(str(v) for corner in way for v in corner) + "\n1,1,2,2,3,3,4,4\n")
    corners, _ = read_outlines(path, read_boxes(path))
    assert polygon_area(corners[0]) == pytest.approx(20)  # as one computes by hand
    assert corners[1].tolist() == [[1, 1], [4, 1], [4, 4], [1, 4]]  # on a line: the box


@pytest.mark.parametrize("header", ["frame,x,y,w,h,conf,vis,lab", "Mask_id,x,y,w,h"])
def test_a_table_has_no_outlines(tmp_path, header):
    path = tmp_path / "groundtruth.txt"
    path.write_text(f"{header}\n{','.join(map(str, range(header.count(',') + 1)))}\n")
    assert read_outlines(path, read_boxes(path)) == (None, False)

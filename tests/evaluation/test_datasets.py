"""Data sets written out in their own layouts, and what is read back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.evaluation.written_clips import clip, pictures, write
from tracker.data import datasets
from tracker.data.annotations import mask_labels
from tracker.errors import UserError


def test_pairs_by_folder_and_their_frames(tmp_path):
    clip(tmp_path / "otb" / "a.mp4")
    write(tmp_path / "otb" / "a.txt", "1,2,3,4\n" * 5)
    clip(tmp_path / "uav" / "b.mp4")
    write(tmp_path / "uav" / "b.txt", "1,2,3,4\nnan,nan,nan,nan\n" * 2)
    clip(tmp_path / "uav" / "without_truth.mp4")
    found = datasets.load(tmp_path)
    assert [s.key for s in found] == ["otb/a", "uav/b"]
    assert np.isnan(found[1].truth[1]).all()
    levels = [int(f.mean()) for f in found[0].source.read(range(5))]
    assert levels == sorted(levels) and levels[4] - levels[0] > 100
    backward = [int(f.mean()) for f in found[0].source.read(range(3, -1, -1))]
    assert backward == levels[3::-1]


def test_otb_counts_from_one_and_may_have_two_targets(tmp_path):
    pictures(tmp_path / "Jogging" / "img", 3, "{:04d}.png")
    write(tmp_path / "Jogging" / "groundtruth_rect.1.txt", "1\t1\t5\t5\n" * 3)
    write(tmp_path / "Jogging" / "groundtruth_rect.2.txt", "3,4,5,5\n" * 3)
    first, second = datasets.load(tmp_path)
    assert (first.name, second.name) == ("Jogging.1", "Jogging.2")
    assert first.truth[0].tolist() == [0, 0, 5, 5] and second.truth[0].tolist() == [2, 3, 5, 5]
    assert first.source.clip() == second.source.clip()


@pytest.mark.parametrize(("count", "first"), [(301, 300), (2, 1)], ids=["all", "those with truth"])
def test_otb_david_begins_at_picture_300(tmp_path, count, first):
    pictures(tmp_path / "David" / "img", count, "{:04d}.png")
    write(tmp_path / "David" / "groundtruth_rect.txt", "1,1,5,5\n1,1,5,5")
    (david,) = datasets.load(tmp_path, "otb")
    assert [p.name for p in david.source.paths[:2]] == [f"{first:04d}.png", f"{first + 1:04d}.png"]


def test_uav123_parts_of_clips(tmp_path):
    pictures(tmp_path / "data_seq" / "UAV123" / "bird1", 9, "{:06d}.png")
    write(tmp_path / "anno" / "UAV123" / "bird1_2.txt", "2,2,4,4\nNaN,NaN,NaN,NaN\n2,2,4,4")
    with pytest.raises(UserError, match=r"configSeqs\.m"):
        datasets.load(tmp_path)
    write(
        tmp_path / "configSeqs.m",
        "seqs={struct('name','bird1_2','path','..\\data_seq\\UAV123\\bird1\\',"
        "'startFrame',5,'endFrame',7,'nz',6),...\n"
        "struct('name','bird1_2','path','..\\data_seq\\UAV123_10fps\\bird1\\',"
        "'startFrame',2,'endFrame',3,'nz',6)};",
    )
    (part,) = datasets.load(tmp_path)
    assert [p.name for p in part.source.paths] == ["000005.png", "000006.png", "000007.png"]
    assert part.truth[0].tolist() == [1, 1, 4, 4]
    write(tmp_path / "configSeqs.m", "")
    for name in ("bird1", "bird2_1", "bird2_2"):
        pictures(tmp_path / "data_seq" / "UAV123" / name, 9, "{:06d}.png")
        write(tmp_path / "anno" / "UAV123" / f"{name}.txt", "2,2,4,4\n2,2,4,4")
    (tmp_path / "anno" / "UAV123" / "bird1_2.txt").unlink()
    whole, *others = datasets.load(tmp_path)
    # a second target or part has the folder of the first, whatever the names
    assert part.source.clip() == whole.source.clip()
    assert len({s.source.clip() for s in (part, *others)}) == 3


def test_attribute_files_in_the_order_of_their_toolkits(tmp_path):
    # the lines that the toolkits ship for these sequences
    otb = tmp_path / "OTB100"
    pictures(otb / "Basketball" / "img", 1)
    write(otb / "Basketball" / "groundtruth_rect.txt", "1,1,5,5")
    pictures(otb / "Jogging" / "img", 1)
    write(otb / "Jogging" / "groundtruth_rect.1.txt", "1,1,5,5")
    write(otb / "anno" / "att" / "basketball.txt", "1,1,0,1,1,0,0,0,0,1,0")
    write(otb / "anno" / "att" / "jogging-1.txt", "0,1,0,1,1,0,0,0,0,0,0\n")
    basketball, jogging = datasets.load(otb)
    assert [n for n, shown in basketball.stated.items() if shown] == [
        "illumination change", "out-of-plane rotation", "occlusion", "deformation",
        "background clutter",
    ]  # fmt: skip
    assert jogging.stated["deformation"] and not jogging.stated["fast motion"]
    assert len(basketball.stated) == 11
    (same, _) = datasets.load(otb, "dtb70")
    assert same.stated["aspect change"] and not same.stated["background clutter"]

    dtb = tmp_path / "DTB70"
    pictures(dtb / "RcCar3" / "img", 1)
    write(dtb / "RcCar3" / "groundtruth_rect.txt", "1,1,5,5")
    write(dtb / "anno" / "att" / "RcCar3.txt", "1,1,0,0,0,1,0,0,0,0,0")
    (car,) = datasets.load(dtb)  # recognised, though its layout is OTB's
    assert [n for n, shown in car.stated.items() if shown] == [
        "scale change", "aspect change", "in-plane rotation",
    ]  # fmt: skip

    uavdt = tmp_path / "UAVDT"
    pictures(uavdt / "UAV-benchmark-S" / "S0101", 2, "img{:06d}.jpg")
    anno = uavdt / "UAV-benchmark-SOT_v1.0" / "anno"
    write(anno / "S0101_gt.txt", "2,3,4,4\n3,3,4,4")
    write(anno / "att" / "S0101_att.txt", "1,0,0,1,0,0,0,0,0")
    (van,) = datasets.load(uavdt)
    assert van.key == "UAVDT/S0101" and van.truth[0].tolist() == [1, 2, 4, 4]
    assert [n for n, shown in van.stated.items() if shown] == [
        "background clutter", "small object",
    ]  # fmt: skip
    (anno / "S0101_gt.txt").rename(anno / "S0102_gt.txt")
    with pytest.raises(UserError, match="the truth of S0101 is not here"):
        datasets.load(uavdt)

    uav = tmp_path / "UAV123"
    pictures(uav / "data_seq" / "UAV123" / "bike1", 1)
    write(uav / "anno" / "UAV123" / "bike1.txt", "2,2,4,4")
    write(uav / "anno" / "UAV123" / "att" / "bike1.txt", "1,1,0,1,0,0,0,0,1,1,1,1")
    (bike,) = datasets.load(uav)
    assert [n for n, shown in bike.stated.items() if shown] == [
        "scale change", "aspect change", "fast motion", "illumination change",
        "viewpoint change", "camera motion", "similar object",
    ]  # fmt: skip
    assert bike.stated["occlusion"] is False  # neither full nor partial

    lasot = tmp_path / "LaSOT"
    pictures(lasot / "airplane" / "airplane-1" / "img", 1)
    write(lasot / "airplane" / "airplane-1" / "groundtruth.txt", "2,2,4,4")
    write(lasot / "att" / "airplane-1.txt", "0,1,0,0,0,1,0,0,1,0,0,0,1,0")
    (plane,) = datasets.load(lasot)
    shown = {n for n, value in plane.stated.items() if value}
    assert shown == {"partial occlusion", "rotation", "scale change", "low resolution", "occlusion"}
    for damaged in ("0,1,0", "0,1,0,0,0,1,0,0,1,0,0,0,1,2"):
        write(lasot / "att" / "airplane-1.txt", damaged)
        with pytest.raises(UserError, match="expected 14 values of 0 or 1"):
            datasets.load(lasot)


def test_lasot_flags_mark_absence(tmp_path):
    folder = tmp_path / "cat" / "cat-1"
    pictures(folder / "img", 4)
    write(folder / "groundtruth.txt", "5,5,4,4\n" * 4)
    write(folder / "full_occlusion.txt", "0,1,0,0")
    write(folder / "out_of_view.txt", "0,0,1,0")
    (cat,) = datasets.load(tmp_path)
    assert cat.name == "cat-1" and cat.truth[0].tolist() == [4, 4, 4, 4]
    assert np.isnan(cat.truth).all(axis=1).tolist() == [False, True, True, False]
    assert cat.tags["occlusion"].tolist() == [False, True, False, False]
    assert cat.tags["out of view"].tolist() == [False, False, True, False]


def test_lasot_whose_flags_take_the_first_box(tmp_path):
    pictures(tmp_path / "cat" / "cat-1" / "img", 2)
    write(tmp_path / "cat" / "cat-1" / "groundtruth.txt", "5,5,4,4\n" * 2)
    write(tmp_path / "cat" / "cat-1" / "out_of_view.txt", "1,0")
    with pytest.raises(UserError, match="with the flags beside it: the first line has no box"):
        datasets.load(tmp_path)


def test_a_frame_in_two_forms_and_a_folder_without_masks_are_refused(tmp_path):
    pictures(tmp_path / "a" / "img", 2)
    pictures(tmp_path / "a" / "img", 2, "{:08d}.jpg")
    write(tmp_path / "a" / "groundtruth_rect.txt", "1,1,5,5\n" * 2)
    with pytest.raises(UserError, match=r"00000001\.jpg and 00000001\.png would be two frames"):
        datasets.load(tmp_path)
    davis = tmp_path / "davis"
    pictures(davis / "JPEGImages" / "480p" / "bear", 2)
    (davis / "Annotations" / "480p" / "bear").mkdir(parents=True)
    with pytest.raises(UserError, match="there is no picture in this folder"):
        datasets.load(davis)


def test_what_macos_leaves_beside_clips_and_truth_is_passed_over(tmp_path):
    clip(tmp_path / "a.mp4")
    write(tmp_path / "a.txt", "1,2,3,4\n" * 5)
    for name in ("._a.mp4", "._a.txt"):
        (tmp_path / name).write_bytes(b"\0\5\26\7")
    assert [s.name for s in datasets.load(tmp_path)] == ["a"]
    root = tmp_path / "uav"
    pictures(root / "data_seq" / "UAV123" / "bike1", 2)
    write(root / "anno" / "UAV123" / "bike1.txt", "2,2,4,4\n" * 2)
    (root / "anno" / "UAV123" / "._bike1.txt").write_bytes(b"\0\5\26\7")
    assert [s.name for s in datasets.load(root)] == ["bike1"]


def test_got10k_with_cover_and_a_test_sequence(tmp_path):
    pictures(tmp_path / "GOT-10k_Val_000001", 3)
    write(tmp_path / "GOT-10k_Val_000001" / "groundtruth.txt", "1,2,3,4\n" * 3)
    write(tmp_path / "GOT-10k_Val_000001" / "cover.label", "8\n3\n0\n")
    write(tmp_path / "GOT-10k_Val_000001" / "cut_by_image.label", "0\n0\n1\n")
    pictures(tmp_path / "GOT-10k_Test_000001", 3)
    write(tmp_path / "GOT-10k_Test_000001" / "groundtruth.txt", "1,2,3,4")
    test, val = datasets.load(tmp_path)
    assert val.truth[0].tolist() == [1, 2, 3, 4] and val.cover.tolist() == [8, 3, 0]
    assert val.tags["occlusion"].tolist() == [False, True, True]
    assert val.tags["out of view"].tolist() == [False, False, True]
    assert np.isnan(val.truth[2]).all(), "nothing of it can be seen"
    write(tmp_path / "GOT-10k_Val_000001" / "absence.label", "0\n1\n0\n")
    _, val = datasets.load(tmp_path)
    assert np.isfinite(val.truth).all(1).tolist() == [True, False, False]
    assert not test.judged and len(test) == 3
    write(tmp_path / "GOT-10k_Val_000001" / "cover.label", "8\n3\n")
    with pytest.raises(UserError, match=r"cover\.label: 2 numbers for 3 frames"):
        datasets.load(tmp_path)


@pytest.mark.parametrize("layout", ["pairs", "vot", "davis", "otb"])
def test_where_only_the_first_box_is_public_nothing_is_scored(tmp_path, layout):
    if layout == "pairs":
        clip(tmp_path / "a.mp4")
        write(tmp_path / "a.txt", "1,2,3,4")
    elif layout == "davis":
        pictures(tmp_path / "JPEGImages" / "480p" / "dog", 5, "{:05d}.png", 0)
        mask = np.zeros((16, 24, 3), np.uint8)
        mask[2:5, 3:8] = 255
        (tmp_path / "Annotations" / "480p" / "dog").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "Annotations" / "480p" / "dog" / "00000.png"), mask)
    else:
        pictures(tmp_path / "a" / {"vot": "color", "otb": "img"}[layout], 5)
        name = {"vot": "groundtruth.txt", "otb": "groundtruth_rect.txt"}[layout]
        write(tmp_path / "a" / name, "1,2,3,4")
        write(tmp_path / "a" / "occlusion.tag", "0")
    (sequence,) = datasets.load(tmp_path)
    assert not sequence.judged and len(sequence) == 5 and not sequence.tags
    assert np.isfinite(sequence.truth).all(1).tolist() == [True] + [False] * 4


def test_a_clip_of_one_frame_is_scored(tmp_path):
    clip(tmp_path / "a.mp4", 1)
    write(tmp_path / "a.txt", "1,2,3,4")
    (sequence,) = datasets.load(tmp_path)
    assert sequence.judged and len(sequence) == 1


def test_vot_with_tags_and_anchors(tmp_path):
    pictures(tmp_path / "bag" / "color", 3)
    write(tmp_path / "bag" / "groundtruth.txt", "1,1,5,1,5,5,1,5\n" * 3)
    write(tmp_path / "bag" / "occlusion.tag", "0\n1\n")
    write(tmp_path / "bag" / "anchor.value", "1\n0\n-1\n")
    (bag,) = datasets.load(tmp_path)
    assert bag.truth[0].tolist() == [1, 1, 4, 4]
    assert bag.tags["occlusion"].tolist() == [False, True, False]
    assert bag.anchors.tolist() == [1, 0, -1]


def test_davis_masks_become_boxes(tmp_path):
    pictures(tmp_path / "JPEGImages" / "480p" / "dog", 2, "{:05d}.png", 0)
    for index in range(2):
        mask = np.zeros((16, 24, 3), dtype=np.uint8)
        mask[2:5, 3 + index : 8 + index] = (0, 0, 128)  # BGR of object 1: dark red
        if index == 0:
            mask[10:12, 1:3] = (0, 128, 128)  # object 3: olive
        path = tmp_path / "Annotations" / "480p" / "dog" / f"{index:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), mask)
    first, third = datasets.load(tmp_path)
    assert (first.name, third.name) == ("dog.1", "dog.3")
    assert first.truth.tolist() == [[3, 2, 5, 3], [4, 2, 5, 3]]
    assert first.source.clip() == third.source.clip()
    assert third.truth[0].tolist() == [1, 10, 2, 2] and np.isnan(third.truth[1]).all()


def test_davis_2016_is_black_and_white():
    mask = np.zeros((2, 2, 3), dtype=np.uint8)
    mask[0, 0] = 255
    assert mask_labels(mask).tolist() == [[1, 0], [0, 0]]


def test_refusals(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        datasets.load(tmp_path / "missing")
    with pytest.raises(UserError, match="no data set was recognised"):
        datasets.load(tmp_path)
    with pytest.raises(UserError, match="unknown data set 'x'"):
        datasets.load(tmp_path, "x")
    with pytest.raises(UserError, match="no sequence of the form 'vot' was found here"):
        datasets.load(tmp_path, "vot")
    pictures(tmp_path / "a" / "img", 2)
    write(tmp_path / "a" / "groundtruth_rect.txt", "1,1,5,5\n" * 3)
    with pytest.raises(UserError, match="3 lines of truth for 2 pictures"):
        datasets.load(tmp_path)


def test_a_name_with_a_dot_is_not_of_the_clip_before_the_dot(tmp_path):
    """As it is of DAVIS, whose targets nobody knows until its masks are read."""
    for name in ("car", "car.2"):
        clip(tmp_path / f"{name}.mp4")
        write(tmp_path / f"{name}.txt", "1,2,3,4\n" * 5 if name == "car.2" else "rubbish")
    assert [s.name for s in datasets.load(tmp_path, only=["car.2"])] == ["car.2"]
    with pytest.raises(UserError, match=r"car\.txt"):
        datasets.load(tmp_path, only=["car"])


def test_only_picks_sequences_and_knows_its_names(tmp_path):
    for name in ("a", "b"):
        pictures(tmp_path / name / "img", 1)
        write(tmp_path / name / "groundtruth_rect.txt", "1,1,5,5")
    assert [s.name for s in datasets.load(tmp_path, only=["b"])] == ["b"]
    assert len(datasets.load(tmp_path, only=[tmp_path.name])) == 2
    with pytest.raises(UserError, match="no sequence is called 'c'"):
        datasets.load(tmp_path, only=["c"])


def test_what_the_system_refuses_is_said() -> None:
    with pytest.raises(UserError, match="File name too long; give a shorter name"):
        datasets.load("a" * 300)


def test_two_clips_of_one_name_are_refused(tmp_path):
    for name in ("a.mp4", "a.avi", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    for name in ("a.txt", "b.txt"):
        write(tmp_path / name, "1,2,3,4\n" * 5)
    with pytest.raises(UserError, match=r"a\.avi and \S+a\.mp4 would both be called \S+/a; rename"):
        datasets.load(tmp_path)
    (tmp_path / "a.avi").unlink()
    assert [s.name for s in datasets.load(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize("path", ["D:\\data\\..", "../..", "a/.."])
def test_uav123_whose_parts_lie_elsewhere(tmp_path, path):
    write(tmp_path / "anno" / "UAV123" / "bird1_1.txt", "1,2,3,4\n")
    pictures(tmp_path / "data_seq", 2)
    (tmp_path / "data_seq" / "UAV123").mkdir()
    entry = f"struct('name','bird1_1','path','{path}/','startFrame',1,'endFrame',1)"
    write(tmp_path / "configSeqs.m", entry)
    with pytest.raises(UserError, match=r"configSeqs\.m: .* is no folder of pictures"):
        datasets.load(tmp_path, "uav123")


@pytest.mark.parametrize("broken", ["picture", "first box", "truth", "masks"])
def test_a_sequence_that_cannot_be_read_stops_a_load_only_where_it_is_asked_for(tmp_path, broken):
    for name in ("cat-1", "cat-2"):
        folder = tmp_path / "JPEGImages" / "480p" / name if broken == "masks" else tmp_path / name
        pictures(folder if broken == "masks" else folder / "img", 2)
        write(tmp_path / name / "groundtruth.txt", "5,5,4,4\n" * 2)
        masks = tmp_path / "Annotations" / "480p" / name
        masks.mkdir(parents=True)
        mask = np.zeros((16, 24, 3), np.uint8)
        mask[2:5, 3:8], mask[10:12, 1:3] = (0, 0, 128), (0, 128, 0)
        for i in range(2):
            cv2.imwrite(str(masks / f"{i}.png"), mask)
    kind = "davis" if broken == "masks" else "lasot"
    if broken == "picture":
        (tmp_path / "cat-1" / "img" / "00000001.png").unlink()
    elif broken == "masks":
        (tmp_path / "Annotations" / "480p" / "cat-1" / "0.png").write_bytes(b"")
    else:
        text = "0,0,0,0\n5,5,4,4" if broken == "first box" else "5,5,4"
        write(tmp_path / "cat-1" / "groundtruth.txt", text)
    whole = "cat-2.2" if broken == "masks" else "cat-2"
    assert [s.name for s in datasets.load(tmp_path, kind, [whole])] == [whole]
    missing = "cat-1.1" if broken == "masks" else "cat-1"
    for only in ([], [missing], [f"{tmp_path.name}/{missing}"], [tmp_path.name], [whole, missing]):
        with pytest.raises(UserError, match="cat-1"):
            datasets.load(tmp_path, kind, only)
    with pytest.raises(UserError, match="no sequence is called 'dog'"):
        datasets.load(tmp_path, kind, ["dog"])

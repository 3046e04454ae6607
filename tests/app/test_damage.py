"""What is said at the end of a video, told from its header, its errors and its frames alone."""

import pytest

from tracker.app.damage import SETTLED, Damage
from tracker.app.decoder_log import DecoderLog
from tracker.app.numbering import Numbering
from tracker.app.origin import File, Origin, Pipe, Server, origin_of
from tracker.errors import UserError

FPS = 25.0
AVI, MKV = Server("http://host/clip.avi?key=1"), Server("http://host/clip.mkv")


class Log(DecoderLog):
    """A decoder of which the test says what it reports."""

    def report(self) -> None:
        self.count += not self._excused
        self.first = "ac-tex damaged"


def counted(frames: int) -> Numbering:
    numbers = Numbering(FPS)
    for index in range(frames):
        numbers.count(index / FPS)
    return numbers


@pytest.mark.parametrize(
    ("where", "kind", "counts"),
    [
        ("http://host/clip.avi", Server, True),
        ("http://host/clip.mp4?as=.avi", Server, False),
        ("pipe:0", Pipe, False),
    ],
)
def test_the_name_tells_where_a_video_comes_from(where: str, kind: type, counts: bool) -> None:
    origin = origin_of(where)
    assert type(origin) is kind and origin.counts_pictures() is counts


def test_of_a_file_the_contents_tell_whether_its_header_counts_pictures(tmp_path) -> None:
    boxes = b"\0\0\0\x10ftypisomisom" + b"\0\0\0\x20moov"
    contents = {"RIFF": b"RIFF0000AVI ", "whole": boxes + bytes(24), "cut": boxes + bytes(23)}
    told = {}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        origin = origin_of(str(tmp_path / name))
        assert type(origin) is File
        told[name] = origin.counts_pictures()
    assert told == {"RIFF": True, "whole": False, "cut": True}


@pytest.mark.parametrize(
    ("origin", "promised", "cut"), [(AVI, 90, True), (AVI, 42, False), (MKV, 90, False)]
)
def test_an_end_before_the_promised_one(origin: Origin, promised: int, cut: bool) -> None:
    """The length of an mkv is that of its sound as well; two frames are how some files are made."""
    damage = Damage(origin, promised, FPS, None)
    if cut:
        with pytest.raises(UserError, match="ends after frame 39, and its header promises 90"):
            damage.sum_up(counted(40), 0.0)
    else:
        assert damage.sum_up(counted(40), 0.0) == ""


@pytest.mark.parametrize(("frames", "step"), [(45, 2.0), (90, 0.5)])
def test_fewer_frames_or_less_time_alone_is_no_damage(frames: int, step: float) -> None:
    numbers = Numbering(FPS)
    for index in range(frames):
        numbers.count(step * index / FPS)
    assert Damage(AVI, 90, FPS, None).sum_up(numbers, 0.0) == ""


def test_an_end_that_the_decoder_finds_too_early() -> None:
    log = Log()
    damage = Damage(MKV, None, FPS, log)
    log.early_ends = 1
    with pytest.raises(UserError, match="the decoder found no proper end of the file"):
        damage.sum_up(counted(40), 0.0)


def test_an_error_makes_the_length_of_any_file_a_promise() -> None:
    log = Log()
    damage = Damage(MKV, 90, FPS, log)
    log.report()
    with pytest.raises(UserError, match="its header promises 90 frames"):
        damage.sum_up(counted(40), 0.0)


def test_after_a_jump_nobody_has_counted() -> None:
    numbers = counted(40)
    numbers.jump(39)
    numbers.count(39 / FPS)
    assert Damage(AVI, 90, FPS, None).sum_up(numbers, 0.0) == ""


def test_a_silence_is_long_only_for_a_server() -> None:
    with pytest.raises(UserError, match="its server fell silent"):
        Damage(MKV, None, FPS, None).sum_up(counted(40), MKV.patience)
    assert Damage(Pipe("pipe:0"), None, FPS, None).sum_up(counted(40), 10 * MKV.patience) == ""


def test_errors_are_told_from_the_frame_before_the_first_on() -> None:
    log = Log()
    log.report()
    damage = Damage(MKV, None, FPS, log)  # what was reported before is of no frame
    for index in range(40):
        if index in (7, 30):
            log.report()
        damage.see(index)
    verdict = damage.sum_up(counted(40), 0.0)
    assert "reported 2 errors from about frame 7 on (ac-tex damaged)" in verdict


def test_an_error_behind_the_last_frame_is_told_from_that_on() -> None:
    log = Log()
    damage = Damage(MKV, None, FPS, log)
    log.report()
    assert "from about frame 39 on" in damage.sum_up(counted(40), 0.0)


def test_errors_right_behind_a_jump_are_no_damage() -> None:
    log = Log()
    damage = Damage(MKV, None, FPS, log)
    damage.excuse()
    log.report()
    damage.settle(10)
    settled = 10 + round(SETTLED * FPS)
    for index in (10, settled - 1):
        damage.see(index)
        log.report()
    assert damage.sum_up(counted(40), 0.0) == ""
    damage.see(settled)
    log.report()
    assert "reported 1 errors" in damage.sum_up(counted(40), 0.0)


@pytest.mark.parametrize(
    ("origin", "hint"),
    [(Origin("clip.mp4"), "give another video"), (Pipe("pipe:0"), "send mkv"), (MKV, "download")],
)
def test_where_no_frame_came_the_advice_fits_the_origin(origin: Origin, hint: str) -> None:
    with pytest.raises(UserError, match=f"holds no frame that can be read: it is damaged.*{hint}"):
        Damage(origin, 90, FPS, None).sum_up(Numbering(FPS), 0.0)

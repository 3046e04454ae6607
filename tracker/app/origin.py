"""Where a video with an end comes from: a file, a pipe or a server, and what follows from that."""

from __future__ import annotations

import math
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

import cv2

from tracker.errors import UserError
from tracker.frames import LONGEST_HOLE, refuse_playlist
from tracker.native_path import native_path

UNPIPEABLE = "an mp4 can be piped only when it was made for streaming; send mkv, ts or avi"


class Origin:
    """Where a video comes from, by the name under which OpenCV opens it.

    Attributes:
        shown: what it is called in messages.
        rewinds: what has come can be had again.
        seek_is_sure: a jump gets there; if not, only an attempt tells.
        longest_hole: pictures in a row that may fail before that is the end.
        patience: seconds without a byte after which it is given up.
        no_video, no_frame: what may be the matter where it does not open, or is empty.
    """

    rewinds = seek_is_sure = True
    longest_hole = 0
    patience = math.inf
    no_video = "it is no video, is damaged, or its codec is unknown"
    no_frame = "; give another video"

    def __init__(self, where: str) -> None:
        self._where = self.shown = where

    def open(self) -> cv2.VideoCapture:
        """Open it at its start; UserError if that fails."""
        capture = self._start()
        if not capture.isOpened() or capture.get(cv2.CAP_PROP_FRAME_WIDTH) <= 0:
            raise UserError(f"{self.shown} cannot be read as a video: {self.no_video}")
        return capture

    def _start(self) -> cv2.VideoCapture:
        return cv2.VideoCapture(self._where)

    def counts_pictures(self) -> bool:
        """Whether the container's count of frames is one of pictures that should be there.

        An avi's is. An mp4 or mov also counts those before the place at which it was cut without
        encoding it anew, which are not shown: there the end of the file tells whether all is there.
        """
        return Path(self._where.split("?")[0]).suffix.lower() == ".avi"


class Pipe(Origin):
    """Standard input: what has come through is gone."""

    rewinds = False
    no_video = f"nothing came, or {UNPIPEABLE}"
    no_frame = f"; or {UNPIPEABLE}"

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.shown = "what comes from stdin"


class Server(Origin):
    """An address: it may be unable to jump, and fall silent."""

    seek_is_sure = False
    patience = 30.0
    no_frame = ", or an mp4 whose server cannot jump to its end; download it, or send mkv"

    def _start(self) -> cv2.VideoCapture:
        limit = [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(1000 * self.patience)]
        return cv2.VideoCapture(self._where, cv2.CAP_FFMPEG, limit)


class File(Origin):
    """A file on this machine: behind a picture that cannot be decoded there may be others."""

    longest_hole = LONGEST_HOLE

    def _start(self) -> cv2.VideoCapture:
        _check_file(Path(self._where))
        with native_path(self._where) as name:
            return cv2.VideoCapture(name)

    def counts_pictures(self) -> bool:
        with open(self._where, "rb") as file:
            head = file.read(8)
            if head[:4] == b"RIFF":
                return True
            return head[4:] in (b"ftyp", b"moov") and _ends_inside_a_box(file)


def origin_of(where: str) -> Origin:
    """What a name stands for: an address, ``pipe:`` and a descriptor, or else a file."""
    if "://" in where:
        return Server(where)
    return Pipe(where) if where.startswith("pipe:") else File(where)


def _ends_inside_a_box(file: BinaryIO) -> bool:
    """Whether an mp4 or mov is shorter than the boxes that it is made of."""
    end, at = file.seek(0, os.SEEK_END), 0
    while at < end:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:  # the true one follows
            size = int.from_bytes(head[8:], "big")
        if size < 8:  # 0: to the end of the file
            return False
        at += size
    return at > end


def _check_file(path: Path) -> None:
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            raise UserError(f"{path} is no file but a pipe or a device; {_instead_of(path)}")
        refuse_playlist(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if facts.st_size == 0:
        raise UserError(f"{path} is an empty file; give a video")


def _instead_of(device: Path) -> str:
    """What to type for something that is no file."""
    # cameras have lasting names as well: links in /dev/v4l/by-id
    number = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(device))
    if number:
        return f"give a camera by its number: --camera {number.group(1)}"
    return f"give a file, or send a video through standard input: --video - < {device}"

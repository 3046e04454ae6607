"""Annotated video: opened with the first frame, at its size and the source's frame rate."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tracker.app import encoder
from tracker.errors import UserError
from tracker.files import open_alone
from tracker.image import Image
from tracker.native_path import native_path

if sys.platform == "linux":
    import fcntl

SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm", ".ts")
NEED_SEEK = (".mp4", ".mov", ".m4v")
"""Formats whose writer goes back to the beginning."""
LONGEST_HOLD = 2.0
"""Seconds; what is longer in a live source is a pause, which is cut out."""
LONGEST_STILL = 300.0
"""Seconds; in a file gaps belong to what was filmed, unless its times are broken."""


class VideoOut:
    """Writes frames to a video in a process of its own; see ``tracker.app.encoder``.

    The file is readable whatever becomes of this program. Where frames come at uneven times,
    give ``write`` their time: pictures are held or left out, so that the video plays at the
    speed of life. Frames that come evenly at the rate are all there, once.

    Args:
        path: where to; the ending chooses the container.
        fps: frames a second, fractions kept (29.97 stays 29.97).
        overwrite: replace what exists.
        longest_hold: seconds for which a picture is held at most.

    Raises:
        UserError: the name's ending is none of a video, or what it names cannot take its format.
    """

    def __init__(
        self, path: Path, fps: float, overwrite: bool = False, longest_hold: float = LONGEST_HOLD
    ) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(f"{path.name}: a video's name ends in one of {', '.join(SUFFIXES)}")
        if path.suffix.lower() in NEED_SEEK and path.is_fifo():  # OpenCV would delete it
            raise UserError(
                f"{path} is a pipe, into which no {path.suffix} can be written; take .ts or .mkv"
            )
        self.path, self.fps, self._overwrite = path, fps, overwrite
        self.frames, self._longest = 0, longest_hold
        self._process: subprocess.Popen[bytes] | None = None
        self._name = contextlib.ExitStack()  # what the encoder calls the file
        self._size: tuple[int, int] | None = None
        self._first_time: float | None = None
        self._held: Image | None = None

    def write(self, image: Image, time: float | None = None, sought: bool = False) -> None:
        """Append an (H, W, 3) uint8 BGR frame.

        Args:
            time: seconds, for uneven streams.
            sought: the frame before is not the one in front of it in the stream.

        Raises:
            UserError: the file cannot be written; what was written is kept.
        """
        repeats = 1 if time is None else self._repeats(time, sought)
        if self._process is None:
            self._open(image)
        if (image.shape[1], image.shape[0]) != self._size:
            raise ValueError(f"a video has one frame size {self._size}, found {image.shape}")
        for _ in range(repeats - 1):  # the time until now was that of the picture before
            self._send(image if self._held is None else self._held)
        if repeats:
            self._held = np.ascontiguousarray(image)
            self._send(self._held)

    def _repeats(self, time: float, sought: bool) -> int:
        if self._first_time is None or sought:
            self._first_time = time - self.frames / self.fps
        behind = round((time - self._first_time) * self.fps) + 1 - self.frames
        if behind > self._longest * self.fps:  # a pause: it is cut out, not shown as a still
            self._first_time += (behind - 1) / self.fps
            behind = 1
        return max(behind, 0)

    def _open(self, image: Image) -> None:
        height, width = image.shape[:2]
        self._size = width, height
        # The encoder inherits the lock: it may still be writing when this program is gone.
        with contextlib.ExitStack() as stack:
            name = stack.enter_context(native_path(self.path))
            claim = open_alone(self.path, self._overwrite)
            self._name = stack.pop_all()
        self._process = subprocess.Popen(
            [
                sys.executable,
                encoder.__file__,
                os.fsdecode(name.encode()),
                str(width),
                str(height),
                repr(self.fps),
            ],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"},
            start_new_session=True,  # what kills our group must not kill it
            pass_fds=() if sys.platform == "win32" else (claim,),
        )
        os.close(claim)
        if sys.platform == "linux" and self._process.stdin is not None:
            with contextlib.suppress(OSError):  # fewer turns between the processes a frame
                fcntl.fcntl(self._process.stdin, fcntl.F_SETPIPE_SZ, 1 << 20)

    def _send(self, image: Image) -> None:
        assert self._process is not None and self._process.stdin is not None
        left = image.data.cast("B")
        try:
            while left:
                left = left[self._process.stdin.write(left) :]
        except OSError:
            raise UserError(f"{self.path} cannot be written: {self._reason()}") from None
        self.frames += 1

    def _reason(self) -> str:
        process, self._process = self._process, None
        assert process is not None and process.stdin is not None and process.stderr is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        errors = process.stderr.read()
        process.wait()
        process.stderr.close()
        self._name.close()
        with contextlib.suppress(OSError):
            empty = self.path.is_file() and not self.path.stat().st_size
            if process.returncode and empty:  # a pipe is not ours, as a file is
                self.path.unlink()  # nothing came of it
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"the encoder ended with status {process.returncode}"

    def close(self) -> None:
        """Finish the file and wait until it is complete.

        Raises:
            UserError: the end could not be written.
        """
        if self._process is None:
            return
        process = self._process
        reason = self._reason()
        if process.returncode:
            raise UserError(f"{self.path} is not complete: {reason}")

    def __enter__(self) -> VideoOut:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

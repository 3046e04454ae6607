"""The process that writes one video: raw BGR frames come in on stdin, a video file goes out.

It is a process of its own because a video is readable only after its index is written at
the end, and OpenCV offers no container that survives otherwise. When the program is killed
or crashes, this process sees its input end and finishes the file with every frame that it
was given. It ignores ctrl-c for the same reason. Run by ``tracker.app.video_out`` only.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import BinaryIO

if __name__ == "__main__":
    # Started by its path: keep the neighbouring modules from shadowing others' imports.
    if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]

import cv2
import numpy as np

RESERVE_BYTES = 16 << 20
"""Free disk space at which writing stops, so that the index of the file still fits."""

SLOWEST, FASTEST = 0.01, 1000.0
"""Frame rates that every container here can state and players play."""
MOST_TICKS = 65535
"""MPEG-4 counts time in at most so many ticks a second; OpenCV makes a tick of the last decimal."""

CODECS = {".avi": "MJPG", ".mkv": "mp4v", ".webm": "VP80", ".ts": "mpg2"}


def encode(frames: BinaryIO, path: str, width: int, height: int, fps: float) -> str | None:
    """Write frames of ``width * height * 3`` bytes to ``path`` until the input ends.

    The rate is rounded where the format needs it; see ``rate_for``.

    Returns:
        What went wrong as half a sentence, or None.
    """
    codec = CODECS.get(os.path.splitext(path)[1].lower(), "mp4v")
    # The formats store chroma for pairs of pixels: an odd last row or column is doubled.
    even = max(width + width % 2, 16), max(height + height % 2, 16)
    writer = _writer(path, codec, rate_for(fps), even)
    if not writer.isOpened():
        return _why_not(path, codec, even)
    buffer = bytearray(width * height * 3)
    image = np.frombuffer(buffer, np.uint8).reshape(height, width, 3)
    count, problem = 0, None
    while _fill(frames, buffer):
        # Sixteen frames until the next look take no more than half of their raw size.
        if count % 16 == 0 and _free_bytes(path) < RESERVE_BYTES + 8 * len(buffer):
            problem = f"the disk is almost full; the video ends after {count} frames"
            break
        if even != (width, height):
            padded = cv2.copyMakeBorder(
                image, 0, even[1] - height, 0, even[0] - width, cv2.BORDER_REPLICATE
            )
            writer.write(padded)
        else:
            writer.write(image)
        count += 1
    writer.release()
    if problem and not count:
        _empty(path)  # a header alone is no video
    return problem


def rate_for(fps: float) -> float:
    """The rate nearest to ``fps`` that can be written: 119.8765 becomes 119.88."""
    fps = min(max(fps, SLOWEST), FASTEST)
    for decimals in (3, 2, 1):
        rate = round(fps, decimals)
        if rate * 10**decimals <= MOST_TICKS:
            return rate
    return float(round(fps))


def _writer(path: str, codec: str, fps: float, size: tuple[int, int]) -> cv2.VideoWriter:
    name = os.fsencode(path).decode()  # OpenCV crashes on what is not UTF-8
    return cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*codec), fps, size)


def _why_not(path: str, codec: str, size: tuple[int, int]) -> str:
    """Why ``path`` cannot be begun, as half a sentence: another size is tried."""
    small = _writer(path, codec, 25.0, (320, 240))
    if not small.isOpened():
        if _free_bytes(path) < RESERVE_BYTES:
            return "the disk is full"
        return "the folder cannot be written to, or the ending of its name is no known format"
    small.release()
    _empty(path)
    ending = os.path.splitext(path)[1].lower()
    return (
        f"frames of {size[0]} x {size[1]} pixels are too large for the video format of a name "
        f"ending in {ending}" + ("" if ending == ".avi" else "; .avi takes larger ones")
    )


def _empty(path: str) -> None:
    if os.path.isfile(path):  # what a pipe was given is gone
        os.truncate(path, 0)


def _fill(frames: BinaryIO, buffer: bytearray) -> bool:
    """Read exactly one frame; False at the end, also in the middle of a frame."""
    view, have = memoryview(buffer), 0
    while have < len(buffer):
        got = frames.readinto(view[have:])  # type: ignore[attr-defined]
        if not got:
            return False
        have += got
    return True


def _free_bytes(path: str) -> int:
    return shutil.disk_usage(os.path.dirname(os.path.realpath(path))).free


def main(arguments: list[str]) -> int:
    """Encode frames from standard input until it ends; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(1)
    path, width, height, fps = arguments
    with open(0, "rb", buffering=0, closefd=False) as frames:
        problem = encode(frames, path, int(width), int(height), float(fps))
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

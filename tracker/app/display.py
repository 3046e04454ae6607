"""Is there a screen that OpenCV can open a window on, and how large is it?"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2


def why_no_display() -> str | None:
    """Half a sentence on what is missing, or None when a window can be opened.

    Asked before the first window: Qt aborts the whole process when it cannot reach the
    display.
    """
    gui = re.search(r"^\s*GUI:\s*(\S+)", cv2.getBuildInformation(), re.MULTILINE)
    if gui and gui.group(1).upper() == "NONE":
        return "this OpenCV is built without windows (opencv-python has them, -headless has not)"
    if not sys.platform.startswith("linux"):
        return None
    wanted = os.environ.get("QT_QPA_PLATFORM")
    plugins = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    if wanted and plugins.is_dir():
        names = [name.partition(":")[0] for name in wanted.split(";")]
        found = [name for name in names if (plugins / f"libq{name}.so").is_file()]
        if not found:
            return f"this OpenCV has no windows for QT_QPA_PLATFORM={wanted} (unset it)"
        if found[0] != "xcb":
            return None
    display = os.environ.get("DISPLAY")
    if not display:
        return "there is no display (DISPLAY is not set)"
    if not _x_answers(display):
        return f"the display {display} does not answer"
    return None


def screen_size() -> tuple[int, int] | None:
    """(width, height) of the X screen in pixels; None where that is not known."""
    display, xlib = os.environ.get("DISPLAY"), _xlib()
    if not display or xlib is None:
        return None
    with _connected(xlib, display) as handle:
        if not handle:
            return None
        number = xlib.XDefaultScreen(handle)
        return xlib.XDisplayWidth(handle, number), xlib.XDisplayHeight(handle, number)


def _x_answers(display: str) -> bool:
    """Whether the X server accepts us, asked with Xlib; without Xlib, whether one listens."""
    xlib = _xlib()
    if xlib is None:
        return _x_listens(display)
    with _connected(xlib, display) as handle:
        return bool(handle)


def _xlib() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        xlib = ctypes.CDLL("libX11.so.6")
    except OSError:
        return None
    xlib.XOpenDisplay.restype = ctypes.c_void_p
    xlib.XOpenDisplay.argtypes = [ctypes.c_char_p]
    for call in (xlib.XCloseDisplay, xlib.XDefaultScreen):
        call.argtypes = [ctypes.c_void_p]
    for call in (xlib.XDisplayWidth, xlib.XDisplayHeight):
        call.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return xlib


@contextlib.contextmanager
def _connected(xlib: ctypes.CDLL, display: str) -> Iterator[int | None]:
    """A connection to an X server, None where it refuses."""
    handle: int | None = xlib.XOpenDisplay(display.encode())
    try:
        yield handle
    finally:
        if handle:
            xlib.XCloseDisplay(handle)


def _x_listens(display: str) -> bool:
    parts = re.fullmatch(r"([^:]*):(\d+)(?:\.\d+)?", display)
    if parts is None:
        return False
    host, number = parts.group(1), int(parts.group(2))
    try:
        if host in ("", "unix"):
            with socket.socket(socket.AF_UNIX) as link:
                link.connect(f"/tmp/.X11-unix/X{number}")
        else:
            socket.create_connection((host, 6000 + number), timeout=2.0).close()
    except OSError:
        return False
    return True

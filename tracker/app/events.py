"""What a window reports: keys, mouse, its closing; and what the codes of keys stand for."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Key(enum.Enum):
    """Keys that mean something; printable ones come as ``Char``."""

    ESCAPE = enum.auto()
    TAB = enum.auto()
    LEFT = enum.auto()
    RIGHT = enum.auto()
    UP = enum.auto()
    DOWN = enum.auto()


# Arrow keys of waitKeyEx: X11 key symbols (Qt, GTK), Windows, macOS.
_KEYS = {
    27: Key.ESCAPE,
    9: Key.TAB,
    0xFF51: Key.LEFT,
    0xFF52: Key.UP,
    0xFF53: Key.RIGHT,
    0xFF54: Key.DOWN,
    0xFF96: Key.LEFT,  # those of the keypad, without Num Lock
    0xFF97: Key.UP,
    0xFF98: Key.RIGHT,
    0xFF99: Key.DOWN,
    0x250000: Key.LEFT,
    0x260000: Key.UP,
    0x270000: Key.RIGHT,
    0x280000: Key.DOWN,
    63234: Key.LEFT,
    63232: Key.UP,
    63235: Key.RIGHT,
    63233: Key.DOWN,
}

# X11 key symbols of a Russian keyboard (and the Ukrainian one's s) by the Latin letters there.
_CYRILLIC = {
    0x6CA: "q",
    0x6D4: "n",
    0x6CB: "r",
    0x6C6: "a",
    0x6D7: "d",
    0x6D3: "c",
    0x6D9: "s",
    0x6A6: "s",
    0x6CD: "v",
    0x6D2: "h",
}
_UNICODE = 0x1000000  # in key symbols that are code points
_OTHER_ALPHABETS = range(0x400, 0xE000)  # of key symbols and of code points


@dataclass(frozen=True)
class KeyPress:
    """A key that is not a character."""

    key: Key


@dataclass(frozen=True)
class Char:
    """A character that was typed."""

    char: str


@dataclass(frozen=True)
class Foreign:
    """A character of an alphabet in which no key has a meaning."""


class MouseKind(enum.Enum):
    """What the mouse did."""

    PRESS = enum.auto()
    MOVE = enum.auto()
    RELEASE = enum.auto()
    RIGHT_PRESS = enum.auto()


@dataclass(frozen=True)
class Mouse:
    """A movement of the mouse at (x, y) in canvas pixels."""

    kind: MouseKind
    x: float
    y: float


@dataclass(frozen=True)
class Closed:
    """The person closed the window."""


Event = KeyPress | Char | Foreign | Mouse | Closed


def event_of(code: int) -> Event | None:
    """What a code of ``cv2.waitKeyEx`` stands for; None: no key, or one that means nothing."""
    if code == -1:
        return None
    low = code & 0xFFFF  # modifiers sit above, and so do Num Lock and Caps Lock
    key = _KEYS.get(code) or _KEYS.get(low)
    if key is not None:
        return KeyPress(key)
    if low in _OTHER_ALPHABETS:
        small = low & ~0x20 if low >= 0x6C0 else low  # capitals are 32 on
        char = None if code & _UNICODE else _CYRILLIC.get(small)
        return Char(char) if char else Foreign()
    if low < 128 and chr(low).isprintable():
        return Char(chr(low))
    return None

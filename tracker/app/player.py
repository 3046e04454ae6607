"""The interactive player: what keys and mouse do. It sees events and frames, no OpenCV window."""

from __future__ import annotations

import time
from collections.abc import Callable

from tracker.app import draw
from tracker.app.canvas import Canvas
from tracker.app.events import Char, Closed, Event, Foreign, Key, KeyPress, Mouse, MouseKind
from tracker.app.figures import Figures
from tracker.app.follow import Follower
from tracker.app.frame_source import Frame, Source
from tracker.app.help import HELP
from tracker.app.pace import Pace
from tracker.app.recorder import Recorder
from tracker.app.selection import Selection, Step
from tracker.app.window import Fit, Screen
from tracker.errors import UserError
from tracker.image import Image
from tracker.results import Box

MESSAGE_SECONDS = 2.5
IDLE_REDRAW = 0.2
PATIENCE = 0.02  # seconds that are waited for an event or a frame at once


class Player:
    """Plays a source in a window, follows what is selected, obeys keys and mouse.

    Args:
        source: where frames come from.
        follower: the targets.
        recorder: files that pictures go to.
        screen: the window.
        first: the first frame, which is shown at once.
        debug: draw the search region and the response of the chosen target.
        max_frames: stop after so many.
        clock: seconds, monotonic; tests pass their own.

    Attributes:
        frame: the frame on screen.
        playing, selecting: what the player is doing.
        pace: when the next frame of a file is due.
    """

    def __init__(
        self,
        source: Source,
        follower: Follower,
        recorder: Recorder,
        screen: Screen,
        first: Frame,
        debug: bool = False,
        max_frames: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.frame = first
        self.playing, self.selecting, self.help, self.quit = True, False, False, False
        self.pace = Pace(source.fps, clock)
        self._source, self._follower, self._recorder = source, follower, recorder
        self._screen, self._debug, self._clock = screen, debug, clock
        self._left = None if max_frames is None else max_frames - 1
        self._figures = Figures(source, clock)
        self._replaces: int | None = None  # the target that the selection stands in for
        self._optional = False  # a person began the selection and may cancel it
        self._by_press = False  # the press did, perhaps as a mere click
        self._selection = self._new_selection()
        self._shown: Frame | None = None
        self._stale_at = 0.0
        self._fit = Fit.of(self._frame_size(), screen.size())
        self._message, self._message_until = "", 0.0
        self._sought: int | None = None  # where a jump or a selection is that gave no frame yet
        self._damage: UserError | None = None  # of the source, found while it stood still

    def run(self) -> None:
        """Play until the end of the source, q, or the closing of the window.

        Raises:
            UserError: the source is damaged, or results cannot be written.
        """
        self.selecting = not self._follower.targets
        self._hold_frame()
        while not self.quit:
            self._show()
            for event in self._screen.poll(self._patience()):
                self.handle(event)
                self._stale_at = 0.0
            if not self.quit and self.running and not self.pace.remaining:
                self.advance()
        if self._damage:
            raise self._damage

    def _show(self) -> None:
        """Draw when there is something new; a picture that stands still costs no processor."""
        now = self._clock()
        if self.frame is self._shown and now < self._stale_at:
            return
        self._screen.show(self.render())
        self._stale_at = now + IDLE_REDRAW
        if self.frame is not self._shown:
            self._figures.shown(self.frame)
        self._shown = self.frame

    @property
    def running(self) -> bool:
        """Frames are moving: not paused, and not frozen for a selection."""
        if self._selection.dragging:
            return False
        return self.playing and not (self.selecting and not self._source.live)

    def advance(self) -> None:
        """Take the next frame, if there is one."""
        if self._left == 0:
            self.quit = True
            return
        frame = self._read()
        self._figures.came(frame)
        if frame is None:
            if self._source.ended:
                self._at_end()
            return
        self._recorder.leave()
        self._sought = None
        self._left = None if self._left is None else self._left - 1
        if not self._source.live:
            self.pace.frame_shown(frame.timestamp - self.frame.timestamp)
        self.frame = frame
        self._follower.advance(frame)
        self._hold_frame()

    def _at_end(self) -> None:
        if self._sought is not None:
            self.playing = False  # a jump ends no program, though it leads behind the end
        self._sought = None
        if self.running:
            self.quit = True
        else:
            self.say(str(self._damage or "this is the end"))

    def _read(self) -> Frame | None:
        try:
            return self._source.read(timeout=PATIENCE)
        except UserError as error:
            if self.running and self._sought is None:
                raise
            self._damage = error  # who stands still at the last good frame may go back from there
            return None

    def _patience(self) -> float:
        return min(self.pace.remaining, PATIENCE) if self.running else PATIENCE

    # --- events ---------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """Do what a key, the mouse or the window asks for."""
        if isinstance(event, Closed):
            self.quit = True
        elif isinstance(event, Mouse):
            self._on_mouse(event)
        elif isinstance(event, KeyPress):
            self._on_key(event.key)
        elif isinstance(event, Char):
            self._on_char(event.char)
        elif isinstance(event, Foreign):
            self.say("switch the keyboard to Latin letters")

    def _on_key(self, key: Key) -> None:
        seconds = {Key.LEFT: -1, Key.RIGHT: 1, Key.UP: 10, Key.DOWN: -10}
        if key is Key.ESCAPE:
            self._escape()
        elif key is Key.TAB:
            self._follower.choose_next()
            if self._replaces is not None:
                self._replaces = self._follower.chosen
        else:
            self._seek(seconds[key])

    def _on_char(self, char: str) -> None:
        actions: dict[str, Callable[[], None]] = {
            "q": self._quit,
            " ": self._pause,
            "n": self._step,
            "r": lambda: self._begin_selection(self._follower.chosen),
            "a": lambda: self._begin_selection(None),
            "d": self._drop,
            "c": self._clear,
            "s": self._snapshot,
            "v": self._record,
            "h": self._toggle_help,
            "+": lambda: self._change_speed(1),
            "=": lambda: self._change_speed(1),
            "-": lambda: self._change_speed(-1),
        }
        action = actions.get(char.lower())
        if action:
            action()

    def _quit(self) -> None:
        self.quit = True

    def _pause(self) -> None:
        was_running = self.running
        if self._source.live:  # it was frozen to select in
            self._selection.cancel()
        else:
            self._cancel_selection()
        self.playing = not was_running
        self.pace.restart()

    def _step(self) -> None:
        self._selection.cancel()
        self.playing = False
        self.advance()

    def _seek(self, seconds: int) -> None:
        if not self._source.can_seek:
            self.say("this source cannot seek")
            return
        was_running = self.running
        self._selection.cancel()  # who looks for the place to select at goes on selecting there
        last = (self._source.frame_count or 1) - 1
        step = max(round(abs(seconds) * self._source.fps), 1)
        # a key that is held comes again before a slow decoder has given the frame
        at = self.frame.index if self._sought is None else self._sought
        at += step if seconds > 0 else -step
        if at >= last and was_running:
            self.playing = was_running = False
            self.say("this is the end")
        self._sought = min(max(at, 0), last)
        self._source.seek(self._sought)
        self.pace.restart()
        if not was_running:
            self._wait_for_frame()

    def _wait_for_frame(self) -> None:
        before, until = self.frame, self._clock() + 2.0
        while self.frame is before and not self.quit and self._clock() < until:
            self.advance()
            if self._source.ended:
                break

    def _change_speed(self, direction: int) -> None:
        if self._source.live:
            self.say("a live source plays at its own speed")
            return
        self.pace.change(direction)
        self.say(f"speed x{self.pace.speed:g}")

    def _drop(self) -> None:
        dropped = self._follower.chosen
        if dropped is not None:
            self._follower.remove(dropped)
        if dropped == self._replaces:
            self._replaces = None

    def _clear(self) -> None:
        self._follower.clear()
        self._begin_selection(None)

    def _snapshot(self) -> None:
        numbers = self._numbers(in_file=True)
        self.say(self._recorder.snapshot(self._annotated(numbers), self.frame.index))

    def _record(self) -> None:
        try:
            self.say(self._recorder.toggle())
        except UserError as error:
            self.say(str(error))

    def _toggle_help(self) -> None:
        self.help = not self.help

    def _escape(self) -> None:
        if self.help:
            self.help = False
        elif self._cancellable:
            self._cancel_selection()
        else:
            self.quit = True

    # --- selection ------------------------------------------------------------------------

    def _new_selection(self) -> Selection:
        return Selection(*self._frame_size())

    def _begin_selection(self, replaces: int | None) -> None:
        self._selection, self._replaces = self._new_selection(), replaces
        self._optional = self._optional or not self.selecting
        self.selecting = True

    @property
    def _cancellable(self) -> bool:
        return self._selection.dragging or (self.selecting and self._optional)

    def _cancel_selection(self) -> None:
        dragging = self._selection.cancel() is Step.CANCELLED
        # At first selecting is all there is to do: a cancelled drag starts afresh.
        if self._optional or not dragging:
            self.selecting = False

    def _on_mouse(self, event: Mouse) -> None:
        x, y = self._fit.to_frame(event.x, event.y)
        if event.kind is MouseKind.RIGHT_PRESS:
            if self._cancellable:
                self._cancel_selection()
        elif event.kind is MouseKind.PRESS:
            self._press(x, y)
        elif event.kind is MouseKind.MOVE:
            self._selection.move(x, y)
        elif event.kind is MouseKind.RELEASE:
            step = self._selection.release(x, y)
            if step is Step.DONE and self._selection.box:
                self._take_selection(self._selection.box)
            elif step is Step.TOO_SMALL:
                side = self._selection.min_side
                self.say(f"too small: draw at least {side:g} x {side:g} pixels")
                self.selecting = not self._by_press

    def _press(self, x: float, y: float) -> None:
        if not self.selecting and self._follower.choose_at(x, y):
            return
        if self.selecting or not self._follower.targets:
            self._by_press = not self.selecting
            if self._by_press:
                self._begin_selection(None)
            self._selection.press(x, y)
        else:
            self.say("r: select the target again, a: add one")

    def _take_selection(self, box: Box) -> None:
        self.selecting = False
        self._sought = self.frame.index  # where nothing is left to play, the window stays open
        try:
            if self._replaces in self._follower.targets:
                self._follower.reselect(self._replaces, self.frame, box)
            else:
                self._follower.add(self.frame, box)
        except (ValueError, UserError) as error:
            self.say(str(error))
        self._selection = self._new_selection()
        self.pace.restart()

    # --- pictures -------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show a sentence for a moment."""
        self._message, self._message_until = text, self._clock() + MESSAGE_SECONDS

    def render(self) -> Image:
        """The canvas of the window: frame, targets, and what concerns only the person here."""
        size = self._screen.size()
        self._fit = Fit.of(self._frame_size(), size)
        picture = self._fit.resize(self.frame.image)
        canvas = Canvas(picture, self._fit.scale)
        draw.annotate(canvas, self._follower, self._numbers(), self._debug)
        self._draw_interaction(canvas)
        return self._fit.centred(picture, size)

    def _draw_interaction(self, canvas: Canvas) -> None:
        if self._recorder.seconds is not None:
            draw.draw_recording(canvas, self._recorder.seconds)
        if self._selection.dragging and self._selection.box:
            draw.draw_selection(canvas, self._selection.box, self._selection.large_enough)
        if self.help:
            draw.draw_help(canvas, HELP)
        elif self._clock() < self._message_until:
            draw.draw_message(canvas, self._message)
        elif self.selecting and not self._selection.dragging:
            what = "again around the target" if self._replaces else "around a target"
            draw.draw_message(canvas, f"drag a box {what}   (h: help)")

    def _numbers(self, in_file: bool = False) -> draw.Numbers:
        notes = [] if self.playing or in_file else ["paused"]
        if self.pace.speed != 1.0 and not in_file:
            notes.append(f"x{self.pace.speed:g}")
        return self._figures.of(self.frame, self._follower.latency, notes, self.running)

    def _hold_frame(self) -> None:
        numbers = self._numbers(in_file=True)  # as it comes: who pauses is not slow
        self._recorder.hold(self.frame, lambda: self._annotated(numbers, told=True))

    def _annotated(self, numbers: draw.Numbers, told: bool = False) -> Image:
        """The frame at its own size as it goes into files."""
        image = self.frame.image.copy()
        draw.annotate(Canvas(image), self._follower, numbers, self._debug, told)
        return image

    def _frame_size(self) -> tuple[int, int]:
        return self.frame.image.shape[1], self.frame.image.shape[0]

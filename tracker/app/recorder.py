"""Recording on and off while the program runs, and single snapshots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tracker.app.frame_source import Frame
from tracker.app.interfaces import Say
from tracker.app.outputs import unused
from tracker.app.video_out import LONGEST_HOLD, LONGEST_STILL, VideoOut
from tracker.errors import UserError
from tracker.files import write_picture
from tracker.image import Image


class Recorder:
    """The annotated videos of one run: the ``--save`` file, and those that ``v`` starts.

    In a window the targets of a frame may change as long as it is on screen: it is held
    (``hold``), and drawn when it is left, when a recording ends, or at the end.

    Args:
        folder: where recordings and snapshots go.
        stem: beginning of their names.
        fps: frame rate of the source.
        save: file that takes every frame, or None.
        live: a pause is cut out; in a file a gap is part of what was filmed.
        overwrite: replace ``save`` if it exists.
        go_on: takes a note when a video cannot be written any more: it ends there, and its
            error is raised by ``close``. None: it is raised at once, as there is no other work.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        fps: float,
        save: Path | None = None,
        live: bool = False,
        overwrite: bool = False,
        go_on: Say | None = None,
    ) -> None:
        self._folder, self._stem, self._fps = folder, stem, fps
        self._longest = LONGEST_HOLD if live else LONGEST_STILL
        self._save = VideoOut(save, fps, overwrite, self._longest) if save else None
        self._index = -1  # of the last frame
        self._held: tuple[Frame, Callable[[], Image]] | None = None
        self._extra: VideoOut | None = None
        self._go_on = go_on
        self._problem: UserError | None = None

    @property
    def wanted(self) -> bool:
        """Whether frames need to be drawn for a file."""
        return self._save is not None or self._extra is not None

    @property
    def seconds(self) -> float | None:
        """Length of the recording that ``v`` started, else of ``--save``; None without."""
        video = self._extra or self._save
        return None if video is None else video.frames / video.fps

    def toggle(self) -> str:
        """Start or end a recording; says which. A frame that is held belongs to it.

        Raises:
            UserError: it cannot be begun, or its end cannot be written.
        """
        if self._extra is None:
            path = unused(self._folder / f"demo_{self._stem}.mp4")
            self._extra = VideoOut(path, self._fps, longest_hold=self._longest)
            return f"recording to {self._extra.path}"
        video, self._extra = self._extra, None
        self._end(video)
        return f"saved {video.path}, {video.frames} frames"

    def hold(self, frame: Frame, draw: Callable[[], Image]) -> None:
        """Keep back the newest frame; ``draw`` gives its picture when it is called."""
        self._held = frame, draw

    def leave(self) -> None:
        """Append the frame that is held, if any, with its targets as they are now."""
        held, self._held = self._held, None  # first: ctrl-c in the middle writes none twice
        if held and self.wanted:
            frame, draw = held
            self.write(draw(), frame)

    def write(self, image: Image, frame: Frame) -> None:
        """Append the picture of a frame, which may be any one of the source after a seek."""
        for video in (self._save, self._extra):
            if video is not None:
                try:
                    self._append(video, image, frame)
                except UserError as error:
                    self._drop(video, error)
        self._index = frame.index

    def _append(self, video: VideoOut, image: Image, frame: Frame) -> None:
        time = frame.timestamp if frame.timed else None
        video.write(image, time, sought=frame.index != self._index + 1)

    def _end(self, video: VideoOut) -> None:
        if self._held:
            frame, draw = self._held  # it stays held for the other video
            self._append(video, draw(), frame)
        video.close()

    def _drop(self, video: VideoOut, error: UserError) -> None:
        if self._go_on is None:
            raise error
        self._problem = self._problem or error
        self._go_on(f"{error}; tracking goes on without it")
        if video is self._save:
            self._save = None
        else:
            self._extra = None

    def snapshot(self, image: Image, frame: int) -> str:
        """Write one picture under a name that is free; says where."""
        try:
            path = unused(self._folder / f"demo_{self._stem}_{frame:06d}.png")
            write_picture(path, image)
        except UserError as error:
            return str(error)
        return f"saved {path}"

    def close(self) -> None:
        """Finish all files; the error of the first that fails is raised after all are done.

        A frame that is held is their last.
        """
        problem, self._problem = self._problem, None
        for video in (self._save, self._extra):
            try:
                if video is not None:
                    self._end(video)
            except UserError as error:
                problem = problem or error
        self._save = self._extra = self._held = None
        if problem:
            raise problem

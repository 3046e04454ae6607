"""One run of the command line: a source, its targets, and what is written of them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tracker.app.batch import (
    Clip,
    check_batch,
    outputs_of,
    read_batch,
    run_batch,
)
from tracker.app.decoder_log import DecoderLog
from tracker.app.display import why_no_display
from tracker.app.follow import Follower, start_box
from tracker.app.frame_source import Frame, Source
from tracker.app.headless import next_frame, run_headless
from tracker.app.inputs import files_of_model, files_read
from tracker.app.interfaces import MakeSession, Say, TargetSession
from tracker.app.outputs import claim, unused
from tracker.app.player import Player
from tracker.app.prefetch import Prefetch
from tracker.app.progress import Progress
from tracker.app.recorder import Recorder
from tracker.app.results_writer import (
    ONE_TARGET,
    SUFFIX_OF,
    ResultsWriter,
    begun_otherwise,
    files_for,
    form_of,
)
from tracker.app.row_file import STDOUT
from tracker.app.sample import load_sample
from tracker.app.sources import open_source
from tracker.app.window import Screen, Window
from tracker.errors import UserError
from tracker.files import at_home, keep_apart, make_folder
from tracker.results import Box

MakeScreen = Callable[[str, tuple[int, int]], Screen]


@dataclass
class Job:
    """One run of the command line.

    Attributes:
        args: what was typed, as ``tracker.app.cli.build_parser`` reads it.
        make_session: makes the session of targets.
        make_screen: opens a window of a title and frame size; ``None``: where there is a display.
        log: what the decoder reports.
        show: takes notes too while a window is open: who looks at that does not see stderr.
        said: the notes on options that do nothing, which are not repeated for each clip.
    """

    args: argparse.Namespace
    make_session: MakeSession
    make_screen: MakeScreen | None
    log: DecoderLog
    show: Say | None = None
    said: set[str] = field(default_factory=set)

    def say(self, text: str) -> None:
        """A note to the person; goes to stderr, where errors go, and into the window."""
        print(text, file=sys.stderr, flush=True)
        if self.show:
            self.show(text)

    # --- one source -----------------------------------------------------------------------

    def single(self) -> int:
        args = self.args
        boxes: list[tuple[Box, str | None]] = [(box, None) for box in args.init_box]
        if args.save_videos:
            raise UserError("--save-videos goes with --batch; for one video give --save out.mp4")
        if args.results_format and not args.results:
            raise UserError("--results-format needs --results FILE to write to")
        where, save = self._where(), args.save
        if where is None:
            if boxes:
                raise UserError("--init-box needs a source: add --video, --camera or --images")
            clip, box = load_sample()
            where, boxes = str(clip), [(box, None)]
            save = save or unused(Path("demo_sample.mp4"))
        self._claim_outputs(where, save, len(boxes))
        with ExitStack() as stack:
            source = self._open(where, stack)
            make_screen = self._screen_maker(bool(boxes), save)
            self._say_what_does_nothing(source, drawn=bool(save or make_screen))
            paced = source.live or make_screen is not None  # a window shows a file at its rate
            session = self.make_session(paced)
            first = self._first(source)
            if args.out:
                make_folder(args.out)
            recorder = Recorder(
                args.out or Path(),
                _file_stem(source.name),
                source.fps,
                save,
                source.live,
                args.overwrite,
                self.say if args.results or make_screen else None,
            )
            stack.callback(recorder.close)
            results = self._results(source, args.results, stack)
            follower = self._follower(session, first, boxes, results)
            if make_screen:
                self._play(make_screen, source, first, follower, recorder, stack)
            else:
                frames, seconds = self._follow(source.name, source, first, follower, recorder)
                self._sum_up(
                    f"{source.name}: {frames} frames in {seconds:.1f} s "
                    f"({frames / max(seconds, 1e-9):.0f} fps with decoding and files)"
                )
        self._report(save, None if follower.unread else args.results)
        return 0

    def _claim_outputs(self, where: str | int, save: Path | None, targets: int) -> None:
        """Refuse outputs that exist or are inputs, before anything is opened."""
        args = self.args
        outputs = [("--save", save)] if save else []
        if args.results:
            form = args.results_format or form_of(args.results)
            files = files_for(args.results, form, targets)
            outputs += [("--results", path) for path in files]
        keep_apart(outputs, [*files_read(where), *files_of_model(args.model)])
        for _, path in outputs:
            claim(path, args.overwrite or path == STDOUT)

    def _where(self) -> str | int | None:
        args = self.args
        if args.camera is not None:
            if args.camera < 0:
                raise UserError(f"cameras are numbered from 0, found {args.camera}")
            number: int = args.camera
            return number
        if args.images and not at_home(args.images).is_dir():
            raise UserError(
                f"--images needs a folder, and {args.images} is none; "
                "for a file or glob use --video"
            )
        where: str | None = args.images or args.video
        return where

    def _say_what_does_nothing(self, source: Source, drawn: bool) -> None:
        rate, batch, notes = self.args.fps, self.args.batch, []
        if rate and source.fps != rate:
            whose = "videos have their own rates" if batch else f"{source.name} has its own rate"
            notes.append(f"--fps {rate:g} is for folders of images; {whose}")
        if self.args.debug and not drawn:
            missing = "no --save-videos" if batch else "no window and no --save"
            notes.append(f"--debug draws, and there is {missing} to draw on")
        for note in notes:
            if note not in self.said:
                self.say(note)
        self.said.update(notes)

    def _screen_maker(self, has_boxes: bool, save: Path | None) -> MakeScreen | None:
        """How to open the window; None to go on without one."""
        if not self.args.no_display:
            if self.make_screen:
                return self.make_screen
            missing = why_no_display()
            if missing is None:
                return Window
            self.say(f"no window: {missing}")
        if not has_boxes:
            raise UserError(
                "without a window nobody can draw the target: give its box in the "
                "first frame with --init-box x,y,w,h"
            )
        if not save and not self.args.results:
            raise UserError(
                "without a window there is nothing to see: add --save out.mp4 or --results out.csv"
            )
        return None

    def _open(self, where: str | int, stack: ExitStack) -> Source:
        source: Source = open_source(where, self.say, self.args.fps, self.log)
        if not source.live:
            source = Prefetch(source)
        stack.callback(source.close)
        return source

    def _first(self, source: Source) -> Frame:
        """The first frame; the session is made before: a live picture would be old after that."""
        first = next_frame(source)
        if first is None:
            raise UserError(f"{source.name} gave no frame")
        return first

    def _results(
        self, source: Source, path: Path | None, stack: ExitStack, overwrite: bool = False
    ) -> ResultsWriter | None:
        if path is None:
            return None
        return stack.enter_context(
            ResultsWriter(
                path, self.args.results_format, overwrite or self.args.overwrite, source.can_seek
            )
        )

    def _follower(
        self,
        session: TargetSession,
        first: Frame,
        boxes: Sequence[tuple[Box, str | None]],
        results: ResultsWriter | None,
    ) -> Follower:
        follower = Follower(session)
        for box, label in boxes:
            try:
                follower.add(first, box, label)
            except ValueError as error:
                raise UserError(
                    f"{','.join(f'{v:g}' for v in box)} cannot be a target: {error}"
                ) from None
        follower.write_to(results, first)  # nothing is begun before all boxes are known to do
        return follower

    def _play(
        self,
        make_screen: MakeScreen,
        source: Source,
        first: Frame,
        follower: Follower,
        recorder: Recorder,
        stack: ExitStack,
    ) -> None:
        size = first.image.shape[1], first.image.shape[0]
        screen = make_screen(source.name, size)
        stack.callback(screen.close)
        player = Player(
            source, follower, recorder, screen, first, self.args.debug, self.args.max_frames
        )
        self.show = player.say
        player.run()

    def _follow(
        self, name: str, source: Source, first: Frame, follower: Follower, recorder: Recorder
    ) -> tuple[int, float]:
        """Follow the targets without a window; the number of frames, and the seconds it took."""
        total = source.frame_count
        if self.args.max_frames:
            total = min(total or self.args.max_frames, self.args.max_frames)
        progress = Progress(name, total, quiet=self.args.quiet)
        start = time.perf_counter()
        frames = run_headless(
            source, first, follower, recorder, progress, self.args.debug, self.args.max_frames
        )
        return frames, time.perf_counter() - start

    def _report(self, save: Path | None, results: Path | None) -> None:
        for what, path in (("annotated video", save), ("results", results)):
            if path and path.exists():
                self._sum_up(f"{what}: {path}")

    def _sum_up(self, line: str) -> None:
        """Print a line, but not among results that go to standard output."""
        if not self.args.quiet:
            print(line, file=sys.stderr if _is_stdout(self.args.results) else sys.stdout)

    # --- many clips -----------------------------------------------------------------------

    def batch(self) -> int:
        args = self.args
        if args.save or args.results or args.init_box:
            raise UserError(
                "--batch takes boxes from its csv and writes into --out DIR; leave "
                "out --init-box, --save and --results (--save-videos adds videos)"
            )
        if args.out is None:
            raise UserError("--batch needs --out DIR for the results")
        form, folder = args.results_format or "csv", args.out
        if args.max_frames:  # a first look is not taken for the results of whole clips
            folder /= f"first-{args.max_frames}-frames"
        clips = read_batch(args.batch)
        plans = [
            outputs_of(clip, folder, SUFFIX_OF[form], form in ONE_TARGET, args.save_videos)
            for clip in clips
        ]
        check_batch(clips, plans, [args.batch, *files_of_model(args.model)])
        make_folder(folder)
        run_batch(clips, plans, self._follow_clip, self.say, args.overwrite, self._foreign)
        return 0

    def _foreign(self, clip: Clip, files: Sequence[Path]) -> Path | None:
        """Which of a clip's finished files is none of its results as they are asked for now."""
        form = self.args.results_format or "csv"
        files = files[: len(clip.boxes) if form in ONE_TARGET else 1]  # not the video
        found = begun_otherwise(files, form, clip.boxes)
        if found is None:
            return None
        try:
            with ExitStack() as stack:  # a box ends at the border, first frames may be damaged
                first = self._first(self._open(clip.where, stack))
        except UserError as error:
            self.say(f"{clip.name}: its results cannot be compared with its boxes ({error})")
            return None
        height, width = first.image.shape[:2]
        try:
            boxes = [(start_box(box, width, height), label) for box, label in clip.boxes]
        except ValueError:
            return found
        return begun_otherwise(files, form, boxes, first.index, first.timestamp)

    def _follow_clip(self, clip: Clip, results_path: Path) -> int:
        # unfinished files of an earlier run are ours to replace: the names say what they are
        save = None
        if self.args.save_videos:
            save = results_path.with_suffix(".mp4")
        with ExitStack() as stack:
            source = self._open(clip.where, stack)
            self._say_what_does_nothing(source, drawn=save is not None)
            session = self.make_session(source.live)
            first = self._first(source)
            recorder = Recorder(
                results_path.parent, clip.name, source.fps, save, source.live, True, self.say
            )
            stack.callback(recorder.close)
            results = self._results(source, results_path, stack, overwrite=True)
            follower = self._follower(session, first, clip.boxes, results)
            frames, _ = self._follow(clip.name, source, first, follower, recorder)
            return frames


def _is_stdout(path: Path | None) -> bool:
    try:
        return path is not None and (path == STDOUT or os.path.samestat(os.stat(path), os.fstat(1)))
    except OSError:
        return False


def _file_stem(name: str) -> str:
    """A source's name as part of a file name."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:60] or "clip"

"""Settings of online parameters on annotated clips: run once, scored, and kept in a file.

A line of the file is one setting on one sequence, under a key over the tracker's code, the
model, the clip and the grid: when any of them changes, it is run again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracker import SiameseTracker, crop
from tracker.data import datasets
from tracker.errors import UserError
from tracker.evaluation import machine, opponents, output_cache, pool, protocols, tuning
from tracker.evaluation.lockstep import Grid, Respecified, follow_all
from tracker.evaluation.longterm import PresenceCounts, presence
from tracker.evaluation.metrics import one_pass
from tracker.evaluation.output_cache import OutputCache
from tracker.evaluation.results_io import Track
from tracker.evaluation.tuning import Setting
from tracker.runtime import OnnxNetwork, open_network

TOGETHER = 64
"""Settings that go through a clip side by side; what is done is kept after each such pass."""


@dataclass(frozen=True)
class Figures:
    """What a setting comes to on one sequence: success AUC, and how honest it is on absence."""

    auc: float
    presence: PresenceCounts

    @property
    def presence_error(self) -> float:
        """Share of present frames that are called lost, plus share of absent ones that are not.

        A sequence that the target never leaves has the first part only.
        """
        wrong = self.presence.said_when_there if self.presence.present else 0.0
        missed = 1 - self.presence.said_when_gone if self.presence.absent else 0.0
        return wrong + missed

    def objective(self, weight: float) -> float:
        """AUC minus ``weight`` times the presence error."""
        return self.auc - weight * self.presence_error


def figures_of(track: Track, sequence: datasets.Sequence) -> Figures:
    """Score a track by the rules of ``metrics`` and ``longterm``."""
    truth = sequence.truth[: len(track.boxes)]
    return Figures(one_pass(track.boxes, truth).auc, presence(track.boxes, track.states, truth))


@dataclass(frozen=True)
class How:
    """How settings are run; picklable, for worker processes.

    Attributes:
        model, device, threads: as of ``SiameseTracker``.
        start: what settings are changes of, as changes of the model's own parameters.
        grid: of the search regions; ``None`` runs the tracker as it ships, without a cache.
        cache: folder of the network's answers; ``None`` keeps none.
        max_frames: only so many of each clip.
    """

    model: str
    device: str = "auto"
    threads: int = 1
    start: Setting = ()
    grid: Grid | None = field(default_factory=Grid)
    cache: Path | None = None
    max_frames: int | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """Some settings on one sequence."""

    how: How
    sequence: datasets.Sequence
    settings: tuple[Setting, ...]

    @property
    def frames(self) -> int:
        """Frames times settings."""
        length = len(self.sequence)
        return min(self.how.max_frames or length, length) * len(self.settings)


@dataclass(frozen=True)
class Answer:
    """Figures in the order of the task's settings, or the sentence on what went wrong.

    Attributes:
        asked, computed: search regions, and those of them that the network had to look at.
    """

    figures: tuple[Figures, ...] = ()
    error: str | None = None
    asked: int = 0
    computed: int = 0


def work(task: Task) -> Answer:
    """Run a task; errors come back as a sentence."""
    try:
        return _follow(task)
    except UserError as error:
        return Answer(error=str(error))
    except Exception as error:  # a setting may drive the tracker where nobody was
        return Answer(error=f"{type(error).__name__}: {error}")


def _follow(task: Task) -> Answer:
    import cv2

    how, sequence = task.how, task.sequence
    cv2.setNumThreads(how.threads)
    network = open_network(how.model, how.device, how.threads)
    start = tuning.apply(network.spec, how.start)
    specs = [tuning.apply(start, setting) for setting in task.settings]
    if how.grid is None:
        tracks = [
            protocols.run_one_pass(
                SiameseTracker(Respecified(network, spec)), sequence, how.max_frames
            )[0]
            for spec in specs
        ]
        return Answer(tuple(figures_of(track, sequence) for track in tracks))
    path = _cache_file(how.cache, network, sequence) if how.cache else None
    cache = OutputCache(path, network.spec.search_size // network.spec.stride)
    tracks = follow_all(network, specs, sequence, cache, how.grid, how.max_frames)
    figures = tuple(figures_of(track, sequence) for track in tracks)
    return Answer(figures, None, cache.asked, cache.computed)


def _cache_file(folder: Path, network: OnnxNetwork, sequence: datasets.Sequence) -> Path:
    """A file of its own for all that the network's answers depend on."""
    parts = [network.digest, network.device.name, sequence.source.fingerprint()]
    parts += machine.libraries()
    parts += [opponents.code_digest(Path(str(room.__file__))) for room in (crop, output_cache)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return folder / sequence.dataset / f"{sequence.name}.{digest}.outputs"


class Book:
    """Figures by setting and sequence: those of earlier runs, and those made when asked for.

    Args:
        path: the file, one JSON object a line.
        how: how settings are run.
        sequences: that they are run on.
        jobs: processes, one sequence each.
        tell: told how many further frames times settings are done.
        begin: told how many are to be done, before a batch of them is run.

    Attributes:
        asked, computed: as of ``Answer``, summed up.
    """

    def __init__(
        self,
        path: Path,
        how: How,
        sequences: Sequence[datasets.Sequence],
        jobs: int = 1,
        tell: Callable[[int], object] = lambda count: None,
        begin: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.asked = self.computed = 0
        self._path, self._how, self._jobs = path, how, jobs
        self._tell, self._begin = tell, begin
        self._sequences = {s.key: s for s in sequences}
        options = opponents.Options(how.device, how.threads)
        here = Path(__file__).parent
        own = [here / name for name in ("lockstep.py", "longterm.py", "metrics.py")]
        self._identity = [
            opponents.identity_of(how.model, options),
            *map(opponents.code_digest, own),
        ]
        self._figures: dict[str, Figures] = dict(_read(path))

    def figures(self, setting: Setting, key: str) -> Figures:
        """What a setting comes to on a sequence; it was evaluated before."""
        return self._figures[self._key(setting, key)]

    def evaluate(self, settings: Sequence[Setting], keys: Sequence[str] | None = None) -> None:
        """Run the settings on the sequences where they were not run yet.

        Args:
            keys: of the sequences; ``None`` for all.

        Raises:
            UserError: a sequence that cannot be run.
        """
        tasks = self._missing(settings, list(self._sequences) if keys is None else keys)
        self._begin(sum(task.frames for task in tasks))
        problems = []
        for task, answer in self._run(tasks):
            if answer is None or answer.error:
                reason = pool.DIED if answer is None else answer.error
                problems.append(f"{task.sequence.key}: {reason}")
                continue
            self.asked += answer.asked
            self.computed += answer.computed
            self._keep(task, answer)
            self._tell(task.frames)
        if problems:
            raise UserError(f"not all settings could be run: {'; '.join(problems)}")

    def _missing(self, settings: Sequence[Setting], keys: Sequence[str]) -> list[Task]:
        tasks = []
        for key in keys:
            sequence = self._sequences[key]
            new = [s for s in settings if self._key(s, key) not in self._figures]
            tasks += [
                Task(self._how, sequence, tuple(new[i : i + TOGETHER]))
                for i in range(0, len(new), TOGETHER)
            ]
        # the longest first, so that no process is left alone with it in the end
        return sorted(tasks, key=lambda task: -task.frames)

    def _run(self, tasks: list[Task]) -> Iterator[tuple[Task, Answer | None]]:
        if self._jobs > 1 and len(tasks) > 1:
            yield from pool.run(work, tasks, min(self._jobs, len(tasks)))
        else:
            yield from ((task, work(task)) for task in tasks)

    def _keep(self, task: Task, answer: Answer) -> None:
        lines = []
        for setting, figures in zip(task.settings, answer.figures, strict=True):
            key = self._key(setting, task.sequence.key)
            self._figures[key] = figures
            record = {
                "key": key,
                "sequence": task.sequence.key,
                "setting": dict(setting),
                "figures": dataclasses.asdict(figures),
            }
            lines.append(json.dumps(record) + "\n")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "ab+") as file:
                file.seek(max(file.tell() - 1, 0))
                if file.read(1) not in (b"", b"\n"):
                    lines.insert(0, "\n")  # after a line that an interrupt cut short
                file.write("".join(lines).encode())
        except OSError as error:
            raise UserError(f"{self._path}: cannot be written ({error.strerror})") from None

    @functools.cache  # noqa: B019  one book lives as long as the command
    def _key(self, setting: Setting, key: str) -> str:
        sequence, how = self._sequences[key], self._how
        parts = [
            self._identity,
            key,
            sequence.source.fingerprint(),
            hashlib.sha256(sequence.truth.tobytes()).hexdigest(),
            None if how.grid is None else dataclasses.astuple(how.grid),
            how.max_frames,
            {**dict(how.start), **dict(setting)},
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def _read(path: Path) -> Iterator[tuple[str, Figures]]:
    """Lines of an earlier run; what an interrupt cut short is left out.

    Raises:
        UserError: a file that no search wrote.
    """
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    good = 0
    for line in lines:
        try:
            record = json.loads(line)
            found = record["key"], _figures(record["figures"])
        except (ValueError, KeyError, TypeError):
            continue
        good += 1
        yield found
    if lines and not good:
        raise UserError(f"{path}: this file was not written by a search; give another --out")


def _figures(record: dict[str, Any]) -> Figures:
    """Figures as they are kept; KeyError, TypeError or ValueError where it is something else."""
    record = dict(record)
    auc = record.pop("auc")
    counts = dict(record.pop("presence", record))
    if "found_again" in counts:  # until then the delays were not kept, which nobody asks for here
        counts["delays"] = [0] * counts.pop("found_again")
    return Figures(auc, PresenceCounts(**{**counts, "delays": tuple(counts["delays"])}))


def presence_rates(figures: Mapping[str, Figures]) -> dict[str, Any]:
    """Frames pooled over sequences with absence: how often ``lost`` is said, by what is true."""
    leaving = (f.presence for f in figures.values() if f.presence.absent)
    total = sum(leaving, PresenceCounts())
    if not total.absent:
        return {}
    return {
        "lost_said_when_gone": total.said_when_gone,
        "lost_said_when_there": total.said_when_there if total.present else 0.0,
        "returns": total.returns,
        "found_again": total.found_again,
    }

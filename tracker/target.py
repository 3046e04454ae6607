"""One followed object: what is remembered of it, and how a frame changes that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from tracker import box_policy
from tracker.absence import Absence
from tracker.box_policy import Candidate
from tracker.camera import SceneStep
from tracker.colours import ColourModel
from tracker.crop import Colour, Region, mean_colour
from tracker.decider import Decider, decider_of
from tracker.exemplar import Exemplar
from tracker.geometry import check_box, clip_box, context_side
from tracker.image import Array, Image
from tracker.levels import Light, View
from tracker.memory import Memory
from tracker.motion import Motion, Step
from tracker.presence import Evidence, Presence
from tracker.results import Box, State, TrackResult
from tracker.runtime import Network, SearchOutput
from tracker.spec import ModelSpec
from tracker.steady import SteadyBox
from tracker.usual_size import UsualSize

MISS_DECAY = 0.9  # how fast a target that was not where it was expected is trusted again
# What is asked or learned less often is followed faster: see USUAL_RATE of presence.py, RATE of
# memory.py, which were set together with these two.
ASK_EVERY = 2  # sure frames: who it is changes slowly, and asking is a fifth of the decision
LEARN_EVERY = 2 * ASK_EVERY  # sure frames: the next ones look alike
CAMERA_TELLS = 0.25  # of the context's side: nearer guesses of a step are as good as one
CROSSING = 8  # frames of two targets on one place; if it lasts longer, the right one has to go on
SAME_FORM = 1.02  # times another width for its height: sizes of one stream are rounded


@dataclass
class Target:
    """State of one target; it holds no past frames.

    Attributes:
        spec: the model's record, whose scores are what may be asked of this target: where a
            threshold is meant, and not the network itself, this one counts.
        box: last estimate in the frame.
        decider: from the network's answers to its box.
        exemplar: what the search is compared with.
        memory: identities of the target and its look-alikes; ``None`` for a model without
            a verification embedding.
        colours: of the target; ``None`` for a model that does not ask for them.
        fill: colour outside of the frame.
        light: around it.
        presence: the state machine.
        frame_size: (width, height) of the last frame.
        crowded: for how many frames another target that was apart from it claims its place: one
            of both is wrong, so that neither is sure; nothing is learned while they cross.
        crop_size: pixels a side of the crops of the last frame.
        regions: looked at in the last frame; the response belongs to the first.
        response: (H, W) of the last search, for display.
        absence: what is known of it only while it is lost and looked for everywhere.
    """

    spec: ModelSpec
    box: Box
    decider: Decider
    exemplar: Exemplar
    memory: Memory | None
    colours: ColourModel | None
    fill: Colour
    light: Light
    presence: Presence
    frame_size: tuple[int, int]
    crowded: int = 0
    crop_size: int = 0
    regions: list[Region] = field(default_factory=list)
    response: Array | None = None
    absence: Absence | None = None
    _usual_size: UsualSize = field(default_factory=UsualSize)
    _motion: Motion = field(default_factory=Motion)
    _steady: SteadyBox = field(default_factory=SteadyBox)
    _miss: float | None = None  # how far, of late, it was from the middle of the search region
    _sure_frames: int = 0
    _refreshes: int = 0
    _last: TrackResult | None = None
    _rested: bool = False

    @staticmethod
    def start(network: Network, image: Image, box: Sequence[float] | NDArray[Any]) -> Target:
        """Learn the exemplar from a frame and a box.

        Raises:
            ValueError: a box without a finite positive size, or outside of the frame.
        """
        height, width = image.shape[:2]
        checked = clip_box(check_box(box, width, height), width, height)
        fill = mean_colour(image)
        light = Light(image, box_policy.search_region(network.spec, checked))
        exemplar = Exemplar(network, View(image, fill, light.levels), checked)
        policy = network.spec.presence.asking(exemplar.share)
        spec = replace(network.spec, presence=policy)
        return Target(
            spec=spec,
            box=checked,
            decider=decider_of(spec),
            exemplar=exemplar,
            memory=None if exemplar.identity is None else Memory(exemplar.identity),
            colours=ColourModel(image, checked) if policy.return_colour_drop < 1 else None,
            fill=fill,
            light=light,
            presence=Presence(policy),
            frame_size=(width, height),
        )

    @property
    def lost(self) -> bool:
        """Whether the target is believed to be gone."""
        return self.presence.state is State.LOST

    @property
    def _learns(self) -> bool:
        return self.presence.state is State.TRACKING and not 0 < self.crowded <= CROSSING

    def view(self, image: Image) -> View:
        """A frame as the network is shown it for this target."""
        return View(image, self.fill, self.light.levels)

    def _tolerance(self) -> float:
        return CAMERA_TELLS * context_side(*self.box[2:], self.spec.online.context)

    def _search_size(self) -> int:
        if self.presence.state is not State.TRACKING or self._miss is None:
            return self.spec.search_size
        return self.decider.crop_size(self.box, self._miss)

    def begin_frame(
        self, width: int, height: int, scene_step: SceneStep | None = None
    ) -> list[Region]:
        """Go on to the next frame, and say which regions of it have to be searched.

        To be called once a frame in which the target is looked for: it counts those of an absence,
        and takes what belongs to a frame of another size over to this one.

        Args:
            scene_step: of the camera, from the last frame to this one; ``None`` without one.
        """
        if self.frame_size != (width, height):
            self._go_on_in(width, height)
        self.crop_size = self.spec.search_size
        self._rested = False
        self.exemplar.choose(self.lost)
        if self.lost and self.decider.seeks:
            self.regions = (self.absence or self._begin_absence()).regions()
        else:
            self.crop_size = self._search_size()
            step = scene_step() if scene_step and self._camera_tells() else None
            self.regions = self.decider.regions(self._expected(step), self.crop_size)
        return self.regions

    def _begin_absence(self, frames: int = 0) -> Absence:
        """Look for it from here on, at its usual size: what misled at the end may be of any."""
        self.box = self._usual_size.around(self.box)
        self.absence = Absence(
            spec=self.spec,
            memory=self.memory,
            colours=self.colours,
            usual_size=self._usual_size,
            box=self.box,
            frame_size=self.frame_size,
            frames=frames,
        )
        return self.absence

    def _go_on_in(self, width: int, height: int) -> None:
        """Go on in frames of another size: of the same form, they are the same picture."""
        wider, higher = width / self.frame_size[0], height / self.frame_size[1]
        if max(wider, higher) < SAME_FORM * min(wider, higher):
            x, y, w, h = self.box
            self.box = x * wider, y * higher, w * wider, h * higher
            self._usual_size.scale(wider, higher)
        self.frame_size = width, height
        self.box = self.decider.inside(self.box, self.frame_size)
        self._forget_motion()
        if self.absence is not None:
            self._begin_absence(self.absence.frames)

    def _forget_motion(self) -> None:
        """From here on it may be anywhere: what comes is no step from what was."""
        self._motion, self._miss = Motion(), None
        self._steady.forget()
        self.decider.forget()

    def _camera_tells(self) -> bool:
        """Whether the camera's step is worth a look: a whole crop is due, or the target leaps.

        Where a smaller crop does without, what the camera does is as small.
        """
        if self.spec.online.motion == 0:
            return False
        whole = self.crop_size == self.spec.search_size
        return whole or self._motion.leaps(self._tolerance())

    def _expected(self, camera: Step | None = None) -> Box:
        """Where the target is if it goes on as it went, in the picture or in the scene."""
        x, y, w, h = self.box
        lead = self.spec.online.motion
        dx, dy = self._motion.expected_step(camera, self._tolerance())
        return x + lead * dx, y + lead * dy, w, h

    def may_rest(self, width: int, height: int) -> bool:
        """Whether a frame may pass without a look: it stays where the smallest crop finds it."""
        if self._last is None or self._miss is None or self._rested:
            return False
        known = self.presence.state is State.TRACKING and self.frame_size == (width, height)
        return known and self.decider.may_rest(self.box, self._miss)

    def rest(self) -> TrackResult:
        """The answer for a frame without a look: the last one, moved as the target goes."""
        assert self._last is not None
        self.box = self.decider.inside(self._expected(), self.frame_size)
        self.exemplar.count(sure=self._learns)
        self._rested = True
        return replace(self._last, box=self._shown())

    def refresh(self, network: Network, image: Image) -> None:
        """Take a later exemplar."""
        self.exemplar.refresh(network, self.view(image), self.box)

    def refresh_colours(self, image: Image) -> None:
        """Follow slow changes of the colours, with every second later exemplar."""
        self._refreshes += 1
        if self.colours is not None and self._refreshes % 2:
            self.colours.learn(image, self.box)

    def promising(self, output: SearchOutput, index: int) -> list[Region]:
        """While lost: see ``Absence.promising``."""
        assert self.absence is not None
        self.response = output.score[index]
        return self.absence.promising(output, index, self.regions)

    def take(self, output: SearchOutput, index: int, image: Image) -> TrackResult:
        """Decide this frame from the network's answers.

        Args:
            output: of a batch in which this target's regions start at ``index``.
            image: the frame.
        """
        identify = self._asks_who()
        candidate = self.decider.decide(output, index, self.regions, self.box, identify)
        self.response = output.score[index]
        result = self._accept(candidate, image)
        if self._learns:
            if self._sure_frames % LEARN_EVERY == 0:
                self._learn(output, index, candidate)
            self._sure_frames += 1
        return result

    def take_closer_look(
        self,
        output: SearchOutput,
        index: int,
        regions: list[Region],
        taken: Sequence[Box],
        image: Image,
    ) -> TrackResult:
        """While lost: decide whether something that a closer look found is the target.

        Args:
            regions, taken: as of ``Absence.returned``, and so are the others.
        """
        assert self.absence is not None
        self.regions, self.response = regions, output.score[index]
        found = self.absence.returned(output, index, regions, taken, image)
        return self.still_lost() if found is None else self._accept(found, image)

    def still_lost(self) -> TrackResult:
        """The answer for a frame in which nothing looked like the target."""
        return TrackResult(self._shown(), 0.0, State.LOST, None)

    def _accept(self, candidate: Candidate, image: Image) -> TrackResult:
        similarity, rival = None, -1.0
        if self.memory is not None and candidate.identity is not None:
            similarity, rival = self.memory.compare(candidate.identity)
        usual, was_lost = self.presence.looks_as_usual(similarity), self.lost
        doubtful = not usual or candidate.score < self.spec.presence.doubt
        coloured = doubtful and not was_lost and self._coloured(candidate.box, image)
        visible = self._usual_size.visible(candidate.box, self.frame_size)
        in_place = self.absence is not None and self.absence.in_place(candidate)
        evidence = Evidence(  # by position: by name it takes longer, see inference.md
            candidate.score, candidate.sharpness, similarity, rival, visible, coloured, in_place
        )
        state = self.presence.update(evidence)
        self.exemplar.count(sure=self._learns and (usual or coloured))
        if self._learns:
            self._usual_size.follow(candidate.box, self.frame_size)
        if state is not State.LOST:
            self.absence = None
            self._move_to(candidate.box)
            self._observe_miss()
        if was_lost or self.lost:
            self._forget_motion()
        said = self._last.similarity if self._last and similarity is None else similarity
        state = State.UNCERTAIN if self.crowded and state is State.TRACKING else state
        self._last = TrackResult(self._shown(), min(max(candidate.score, 0.0), 1.0), state, said)
        return self._last

    def _shown(self) -> Box:
        """The box that is said: without the trembling of answers about a target at rest."""
        box = self.box if self.lost else self._steady.follow(self.box)
        return clip_box(box, *self.frame_size, 2.0)

    def _coloured(self, box: Box, image: Image) -> bool:
        """Whether a box still has the target's colours, if the model asks for them."""
        drop = self.spec.presence.colour_drop
        return self.colours is not None and self.colours.as_usual(image, box, drop)

    def _move_to(self, box: Box) -> None:
        x, y, w, h = self.box
        self.box = self.decider.inside(box, self.frame_size)
        self._motion.observe(
            self.box[0] + self.box[2] / 2 - x - w / 2, self.box[1] + self.box[3] / 2 - y - h / 2
        )

    def _observe_miss(self) -> None:
        x, y, w, h = self.box
        looked = self.regions[0]
        miss = math.hypot(x + w / 2 - looked.cx, y + h / 2 - looked.cy)
        known = max(w, h) if self._miss is None else self._miss
        self._miss = max(miss, MISS_DECAY * known)

    def _asks_who(self) -> bool:
        """Whether the identity is asked for: in every second sure frame, and before learning."""
        sure = self.presence.state is State.TRACKING
        if not sure or self._sure_frames % ASK_EVERY == 0:
            return True
        return self.exemplar.due(self.spec, ahead=1)

    def _learn(self, output: SearchOutput, index: int, candidate: Candidate) -> None:
        """Remember how the target looks now and what stands beside it; only while sure."""
        if self.memory is None or candidate.identity is None:
            return
        self.memory.remember_target(candidate.identity)
        others = box_policy.rivals(
            self.spec, output, index, candidate.box, self.regions[0], self.spec.presence.sure
        )
        self.memory.remember_rivals(others, candidate.identity)

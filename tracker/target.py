"""One followed object: what is remembered of it, and how a frame changes that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from tracker import box_policy, scale_policy
from tracker.box_policy import Candidate
from tracker.camera import SceneStep
from tracker.colours import ColourModel
from tracker.crop import Colour, Region, mean_colour
from tracker.crowd import claimed
from tracker.exemplar import Exemplar
from tracker.geometry import check_box, clip_box, context_side, hold_inside, overlap
from tracker.image import Array, Image
from tracker.levels import Light, View
from tracker.look_alikes import Look, unless_exchanged
from tracker.memory import Memory
from tracker.motion import Motion, Step
from tracker.presence import Evidence, Presence
from tracker.redetection import Rescan
from tracker.results import Box, State, TrackResult
from tracker.runtime import Network, SearchOutput
from tracker.spec import BoxPolicy, ModelSpec
from tracker.steady import SteadyBox
from tracker.usual_size import UsualSize, closer_look

MISS_DECAY = 0.9  # how fast a target that was not where it was expected is trusted again
LONG_LOST = 100  # frames; then the usual size may be a mistake, and colours in another light
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
        spec: the model's record, with what may be asked of this target.
        box: last estimate in the frame.
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
    """

    spec: ModelSpec
    box: Box
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
    _usual_size: UsualSize = field(default_factory=UsualSize)
    _motion: Motion = field(default_factory=Motion)
    _steady: SteadyBox = field(default_factory=SteadyBox)
    _miss: float | None = None  # how far, of late, it was from the middle of the search region
    _rescan: Rescan | None = None
    _lost_for: int = 0  # frames
    _sure_frames: int = 0
    _refreshes: int = 0
    _look: Look | None = None  # the last one
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
        presence = network.spec.presence.asking(exemplar.share)
        spec = replace(network.spec, presence=presence)
        memory = None if exemplar.identity is None else Memory(exemplar.identity)
        colours = ColourModel(image, checked) if presence.return_colour_drop < 1 else None
        state, size = Presence(presence), (width, height)
        return Target(spec, checked, exemplar, memory, colours, fill, light, state, size)

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
        return box_policy.search_size(self.spec, self.box, self._miss)

    def plan(self, width: int, height: int, scene_step: SceneStep | None = None) -> list[Region]:
        """The regions that a search of this frame needs.

        Args:
            scene_step: of the camera, from the last frame to this one; ``None`` without one.
        """
        if self.frame_size != (width, height):
            self._go_on_in(width, height)
        self.crop_size = self.spec.search_size
        self._rested = False
        self.exemplar.choose(self.lost)
        if self.spec.kind == "response":
            self.regions = scale_policy.search_regions(self.spec, self.box)
        elif self.lost:
            self._look = None
            if self._rescan is None:
                # what misled the tracker at the end may have been of any size
                self.box = self._usual_size.around(self.box)
                near = box_policy.search_region(self.spec, self.box).aligned(self.spec.search_size)
                self._rescan = Rescan(near, width, height)
            self.regions = self._rescan.next()
            self._lost_for += 1
            if self._lost_for > LONG_LOST:
                self._usual_size.forget()
        else:
            self._rescan, self._lost_for = None, 0
            self.crop_size = self._search_size()
            step = scene_step() if scene_step and self._camera_tells() else None
            region = box_policy.search_region(self.spec, self._expected(step), self.crop_size)
            self.regions = [region.aligned(self.crop_size)]
        return self.regions

    def _go_on_in(self, width: int, height: int) -> None:
        """Go on in frames of another size: of the same form, they are the same picture."""
        wider, higher = width / self.frame_size[0], height / self.frame_size[1]
        if max(wider, higher) < SAME_FORM * min(wider, higher):
            x, y, w, h = self.box
            self.box = x * wider, y * higher, w * wider, h * higher
            self._usual_size.scale(wider, higher)
        self.frame_size = width, height
        self.box = self._inside(self.box)
        self._rescan, self._look, self._miss, self._motion = None, None, None, Motion()
        self._steady.forget()

    def _camera_tells(self) -> bool:
        """Whether the camera's step is worth a look: a whole crop is due, or the target leaps.

        Where a smaller crop does without, what the camera does is as small.
        """
        if not isinstance(self.spec.online, BoxPolicy) or self.spec.online.motion == 0:
            return False
        whole = self.crop_size == self.spec.search_size
        return whole or self._motion.leaps(self._tolerance())

    def _expected(self, camera: Step | None = None) -> Box:
        """Where the target is if it goes on as it went, in the picture or in the scene."""
        x, y, w, h = self.box
        lead = self.spec.online.motion if isinstance(self.spec.online, BoxPolicy) else 0.0
        dx, dy = self._motion.expected_step(camera, self._tolerance())
        return x + lead * dx, y + lead * dy, w, h

    def may_rest(self, width: int, height: int) -> bool:
        """Whether a frame may pass without a look: it stays where the smallest crop finds it."""
        if self.spec.kind != "box" or self._last is None or self._miss is None or self._rested:
            return False
        known = self.presence.state is State.TRACKING and self.frame_size == (width, height)
        return known and box_policy.smallest_will_do(self.spec, self.box, self._miss)

    def rest(self) -> TrackResult:
        """The answer for a frame without a look: the last one, moved as the target goes."""
        assert self._last is not None
        self.box = self._inside(self._expected())
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
        """While lost: regions of a second, closer look, if a crop shows something like it.

        That of the strongest peak, and that of the one of the likest identity if it is elsewhere.
        """
        self.response = output.score[index]
        found = self._peaks(output, index)
        if not found:
            return []
        chosen = max(found, key=lambda peak: peak.score), max(found, key=self._likeness)
        looks = (closer_look(peak.box, self.box) for peak in chosen)
        first, second = (
            box_policy.search_region(self.spec, look).aligned(self.spec.search_size)
            for look in looks
        )
        return [first] if overlap(first.box, second.box) > 0.5 else [first, second]

    def _peaks(self, output: SearchOutput, index: int, whole: bool = False) -> list[Candidate]:
        """What looks like the target in the regions of this frame.

        Args:
            whole: leave out what a region's edge may cut off: it can be of any size.
        """
        doubt = self.spec.presence.doubt
        return [
            peak
            for i, region in enumerate(self.regions)
            for peak in box_policy.peaks(self.spec, output, index + i, region, doubt)
            if not whole or region.shows(peak.box)
        ]

    def _likeness(self, candidate: Candidate) -> float:
        """How much like the target a candidate is: its identity, or else its score."""
        if self.memory is None or candidate.identity is None:
            return candidate.score
        return self.memory.similarity(candidate.identity)

    def take(self, output: SearchOutput, index: int, image: Image) -> TrackResult:
        """Decide this frame from the network's answers.

        Args:
            output: of a batch in which this target's regions start at ``index``.
            image: the frame.
        """
        candidate = self._decide(output, index)
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
            regions: looked at; the output holds them from ``index`` on.
            taken: boxes of other things that are followed: they are not this one.
            image: the frame.
        """
        self.regions, self.response = regions, output.score[index]
        possible = [
            peak
            for peak in self._peaks(output, index, whole=True)
            if not claimed(peak.box, taken) and self._may_return(peak, image)
        ]
        if not possible:
            return self.still_lost()
        sure = [peak for peak in possible if peak.score >= self.spec.presence.return_score]
        return self._accept(max(sure or possible, key=self._likeness), image)

    def still_lost(self) -> TrackResult:
        """The answer for a frame in which nothing looked like the target."""
        return TrackResult(self._shown(), 0.0, State.LOST, None)

    def _accept(self, candidate: Candidate, image: Image) -> TrackResult:
        similarity, rival = None, -1.0
        if self.memory is not None and candidate.identity is not None:
            similarity, rival = self.memory.compare(candidate.identity)
        usual, was_lost = self.presence.looks_as_usual(similarity), self.lost
        visible = self._usual_size.visible(candidate.box, self.frame_size)
        doubtful = not usual or candidate.score < self.presence.policy.doubt
        coloured = doubtful and not was_lost and self._coloured(candidate.box, image)
        in_place = was_lost and self._in_place(candidate)
        state = self.presence.update(
            Evidence(
                candidate.score, candidate.sharpness, similarity, rival, visible, coloured, in_place
            )
        )
        self.exemplar.count(sure=self._learns and (usual or coloured))
        if self._learns:
            self._usual_size.follow(candidate.box, self.frame_size)
        if state is not State.LOST:
            self._move_to(candidate.box)
            self._observe_miss()
        if was_lost or self.lost:
            self._motion, self._miss = Motion(), None  # it may come back anywhere: that is no step
            self._steady.forget()
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
        drop = self.presence.policy.colour_drop
        return self.colours is not None and self.colours.as_usual(image, box, drop)

    def _move_to(self, box: Box) -> None:
        x, y, w, h = self.box
        self.box = self._inside(box)
        self._motion.observe(
            self.box[0] + self.box[2] / 2 - x - w / 2, self.box[1] + self.box[3] / 2 - y - h / 2
        )

    def _inside(self, box: Box) -> Box:
        width, height = self.frame_size
        bounded = hold_inside(box, width, height)
        if self.spec.kind == "response":  # it only changes the last size: what the frame's edge
            return bounded  # cut off would never come back
        return clip_box(bounded, width, height, 2.0)

    def _observe_miss(self) -> None:
        x, y, w, h = self.box
        looked = self.regions[0]
        miss = math.hypot(x + w / 2 - looked.cx, y + h / 2 - looked.cy)
        known = max(w, h) if self._miss is None else self._miss
        self._miss = max(miss, MISS_DECAY * known)

    def _decide(self, output: SearchOutput, index: int) -> Candidate:
        if self.spec.kind == "response":
            return scale_policy.decide(self.spec, output, index, self.regions, self.box)
        region, last = self.regions[0], self.box
        candidate = box_policy.decide(
            self.spec, output, index, region, last, identify=self._asks_who()
        )
        before, now = self._look, Look(output, index, region)
        self._look = now
        if before is None:
            return candidate
        return unless_exchanged(self.spec, before, now, last, candidate)

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

    def _may_return(self, peak: Candidate, image: Image) -> bool:
        """Whether a lost target can have that shape, and has its colours if they say anything."""
        if not self._usual_size.may_return_as(peak.box, self.frame_size, self._lost_for):
            return False
        if self.colours is None or self._lost_for > LONG_LOST or self._in_place(peak):
            return True
        return self.colours.as_usual(image, peak.box, self.presence.policy.return_colour_drop)

    def _in_place(self, peak: Candidate) -> bool:
        """Whether a lost target is surely there where it was lost."""
        sure = peak.score >= self.presence.policy.sure
        return sure and self._rescan is not None and self._rescan.at_home(peak.box)

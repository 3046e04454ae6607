"""How pairs are drawn: shares, sizes and ranges."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

MEASURES = ("exemplar_size", "search_size", "max_gap", "shift", "scale", "distort")
"""Options that are sizes and ranges; all others are shares of 0..1."""


@dataclass(frozen=True)
class PairOptions:
    """How pairs are drawn. Probabilities are of a pair unless said otherwise.

    Attributes:
        exemplar_size, search_size: crop sizes in pixels.
        negative: the search region shows another object.
        hard: of the negatives, those that the network confused with the target last (see
            ``mining.py``), and where nothing was, those of the same category.
        paste: of stills with a polygon, those cut out and put on another picture.
        part: of stills, those in which the target is not the object but what a person may draw
            instead: a part of it, or more than it.
        moving_part: the same of what moves, in videos and views: legs may be left out, though they
            go with the rest.
        distractor: another object is put beside the target.
        crossing: of the objects put beside a target, those that cover a part of it, or that a
            target with an outline covers: as when two of a kind cross.
        occluder: a piece of another picture hides a part of the target.
        hidden: of the search crops that show the target, those in which something passes in front
            of it and leaves all to nothing of it to be seen: the score is to fall with it.
        grey: both crops without colour.
        far: both crops with as few pixels as a far target has.
        max_gap: frames between exemplar and search.
        shift: largest offset of the target in the search crop, pixels.
        scale: largest change of scale in the search crop, exp(+-scale).
        zoom: of the search crops, those whose scale may change up to two-fold: a lost target is
            looked for in coarse regions, and comes back at another distance.
        stretch: of the search crops, those whose aspect may change up to two-fold, and that may be
            turned by up to 30 degrees: a car that turns a corner, somebody who bends down.
        later: a later exemplar is blended in, as the online tracker does it: the target shortly
            before the searched frame, with a box that is a little off. Spread evenly over the
            numbers of the pairs: tensors whose size changes from batch to batch are slow.
        flip: both crops are mirrored.
        distort: factor on the changes of aspect, on rotation and on the exemplar's jitter.
        appearance: factor on the odds and strength of changes of light, colour and sharpness.
    """

    exemplar_size: int
    search_size: int
    negative: float = 0.2
    hard: float = 0.5
    paste: float = 0.45
    part: float = 0.0
    moving_part: float = 0.0
    distractor: float = 0.35
    crossing: float = 0.0
    occluder: float = 0.12
    hidden: float = 0.0
    grey: float = 0.15
    far: float = 0.0
    max_gap: int = 100
    shift: float = 64.0
    scale: float = 0.18
    zoom: float = 0.0
    stretch: float = 0.0
    later: float = 0.0
    flip: float = 0.5
    distort: float = 1.0
    appearance: float = 1.0

    def __post_init__(self) -> None:
        for name in self._shares():
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share of 0..1, found {getattr(self, name)}")
        if not 0 <= self.shift < self.search_size / 2:
            raise ValueError(
                f"shift must keep the target in the crop: 0..{self.search_size / 2:g} pixels, "
                f"found {self.shift}"
            )
        if self.max_gap < 0 or self.scale < 0 or self.distort < 0:
            raise ValueError("max_gap, scale and distort cannot be negative")

    def plain(self) -> PairOptions:
        """The same without anything that changes a picture: for validation."""
        still: dict[str, Any] = dict.fromkeys(self._shares(), 0)
        still |= {"negative": 0.5, "hard": self.hard, "scale": 0, "distort": 0}
        return replace(self, **still)

    @classmethod
    def _shares(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name not in MEASURES]

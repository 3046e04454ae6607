"""What a model file says of itself: sizes, online parameters, thresholds, training record.

These numbers belong to the weights, so they travel inside the graphs' metadata. The defaults are
those of the models that ship: what a network trained anew starts with.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tracker.errors import UserError

METADATA_KEY = "siamtrack"
FORMAT = 2
MOST_PIXELS = 4096  # a side of any crop
PRECISIONS = ("fp32", "fp16", "int8")


@dataclass(frozen=True)
class BoxPolicy:
    """Online parameters of a network that regresses boxes.

    Attributes:
        window: share of the cosine window in the ranking of cells, 0..1.
        penalty: strength of the penalty on change of size and aspect.
        size_rate: how fast the size follows, relative to the score.
        context: context of the crops, of (w + h).
        motion: share of the step that ``tracker.motion`` expects by which the search runs ahead.
        narrow: pixels a side of the smallest search crop, taken while the target is where it was
            expected; from ``search_size`` on, all crops are whole.
        blend: share of later exemplars in the correlation; 0 keeps to the first one.
        refresh: frames between two later exemplars.
    """

    window: float = 0.4
    penalty: float = 0.2
    size_rate: float = 0.5
    context: float = 0.5
    motion: float = 1.0
    narrow: int = 160
    blend: float = 0.4
    refresh: int = 8
    scales: ClassVar[int] = 1  # no part of the record, nor are those of the other kind


@dataclass(frozen=True)
class ScalePolicy:
    """Online parameters of SiamFC; the defaults are those of Bertinetto et al. 2016.

    Attributes:
        scales: number of scales searched a frame, an odd one: the size as it is, and as many
            smaller ones as larger ones.
        scale_step: ratio of two neighbouring scales.
        scale_penalty: factor on the response of a changed scale.
        scale_damping: share of the new scale that is taken over.
        window: share of the cosine window.
        upsample: factor of the bicubic upsampling of the response.
        context: context of the crops, of (w + h).
    """

    scales: int = 3
    scale_step: float = 1.0375
    scale_penalty: float = 0.9745
    scale_damping: float = 0.59
    window: float = 0.176
    upsample: int = 16
    context: float = 0.5
    # what only the other kind has: here nothing runs ahead, and exemplars stay
    motion: ClassVar[float] = 0.0
    blend: ClassVar[float] = 0.0
    refresh: ClassVar[int] = 0


SCORES_ASKED = ("sure", "doubt", "gone", "likely", "return_score")


@dataclass(frozen=True)
class PresencePolicy:
    """When the target is said to be uncertain or lost, with hysteresis.

    Attributes:
        sure: score from which the target is tracked.
        sharp: sharpness of the response (``box_policy.sharpness``) below which nothing is sure.
        doubt: score below which it counts as missing in this frame.
        gone: score below which the frame counts for two missing ones.
        likely: score that something needs to be taken for the target, staying where it was, when
            another object beside it scores more (``tracker.look_alikes``).
        patience: missing frames in a row before it is lost.
        visible: share of its usual width or height below which a target at the frame's edge
            is leaving, and missing.
        return_score: score that a candidate needs to be taken up again.
        same: cosine similarity of identities that a candidate needs to be taken up again.
        match: cosine similarity from which two patches show one object, where nothing else
            is known of them (``same_object``).
        different: cosine similarity below which it is another object.
        drop: it is another object, too, when its similarity is so much below the usual one;
        rival_margin: or when it is so much more like a remembered look-alike.
        unusual: so much below the usual similarity something covers the target: its look is
            not learned.
        return_drop: what a lost target is taken up with is at most so much below the similarity
            that was usual before; what scores ``sure`` where it was lost, at most ``drop``.
        colour_drop: a look that is unusual, or has a score from half of ``doubt`` on, is the
            target's all the same where the share of its colours is at most so much below the
            usual one.
        return_colour_drop: what a lost target is taken up with has a share of its colours that
            is at most so much below the usual one, but where it was lost and scores ``sure``; 1
            asks no colours, here and before.
    """

    sure: float = 0.75
    sharp: float = 0.3
    doubt: float = 0.4
    gone: float = 0.05
    likely: float = 0.5
    patience: int = 2
    visible: float = 0.45
    return_score: float = 0.7
    same: float = 0.4
    match: float = 0.65
    different: float = 0.2
    drop: float = 0.35
    rival_margin: float = 0.12
    unusual: float = 0.1
    return_drop: float = 0.15
    colour_drop: float = 0.12
    return_colour_drop: float = 0.3

    def asking(self, share: float) -> PresencePolicy:
        """The same with a share of all scores that are asked."""
        scores = {name: share * getattr(self, name) for name in SCORES_ASKED}
        return dataclasses.replace(self, **scores)


# of SiamFC: its scores are lower, and colours were never tried with it
RESPONSE_PRESENCE = PresencePolicy(
    sure=0.5,
    doubt=0.25,
    patience=4,
    return_score=0.5,
    return_drop=2.0,
    colour_drop=0.0,
    return_colour_drop=1.0,
)


@dataclass(frozen=True)
class ModelSpec:
    """The record inside a model's graphs.

    Attributes:
        name: of the network, such as ``kestrel``.
        kind: ``box`` (scores, boxes, identity) or ``response`` (SiamFC's map).
        pair: hash of the weights: both graphs of a model carry the same one.
        exemplar_size, search_size, stride: pixels.
        online: parameters of the decision.
        presence: thresholds of the states.
        training: free record: commands of all runs; data, seed, hours and pairs of the last run,
            and of each whose weights were ``averaged``.
        precision: of the search graph, one of ``PRECISIONS``.
    """

    name: str
    kind: str
    pair: str
    exemplar_size: int
    search_size: int
    stride: int
    online: BoxPolicy | ScalePolicy
    presence: PresencePolicy
    training: dict[str, Any] = field(default_factory=dict)
    precision: str = "fp32"

    def to_json(self, role: str) -> str:
        """Metadata text for the graph of ``role`` (``exemplar`` or ``search``)."""
        return json.dumps(
            {"format": FORMAT, "role": role, **dataclasses.asdict(self)}, sort_keys=True
        )

    @staticmethod
    def from_json(text: str, role: str, where: str) -> ModelSpec:
        """Read and check metadata.

        Raises:
            UserError: not this project's metadata, another role, or values out of range.
        """
        try:
            return _parsed(text, role)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"the metadata of {where} does not describe a model of this project ({error}); "
                "export it again with tools/export.py"
            ) from None


class BoxSpec(ModelSpec):
    """A record of kind ``box``: a name for type checkers, no record is made by it."""

    online: BoxPolicy


class ScaleSpec(ModelSpec):
    """A record of kind ``response``: a name for type checkers, as ``BoxSpec``."""

    online: ScalePolicy


def usual_online(kind: str) -> BoxPolicy | ScalePolicy:
    """Parameters of the decision that nobody has tuned, for a ``kind`` of ``ModelSpec``."""
    return BoxPolicy() if kind == "box" else ScalePolicy()


def usual_presence(kind: str) -> PresencePolicy:
    """Thresholds that nobody has calibrated, for a ``kind`` of ``ModelSpec``."""
    return PresencePolicy() if kind == "box" else RESPONSE_PRESENCE


def read_parameters(path: Path) -> dict[str, Any]:
    """A file of parameters: ``{"online": {...}, "presence": {...}, "scores": {...}}``.

    Raises:
        UserError: unreadable, or with other parts.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error})") from None
    allowed = {"online", "presence", "scores"}
    if not isinstance(content, dict) or set(content) - allowed:
        raise UserError(f"{path} may have the parts {', '.join(sorted(allowed))} and no others")
    return content


def with_parameters(spec: ModelSpec, parameters: dict[str, Any], where: str) -> ModelSpec:
    """A record with other parameters.

    Args:
        parameters: ``{"online": {...}, "presence": {...}}``; what is not named stays.
        where: the parameters stand, for messages.

    Raises:
        UserError: unknown parameters, or values out of range.
    """
    try:
        online = dataclasses.replace(spec.online, **parameters.get("online", {}))
        presence = dataclasses.replace(spec.presence, **parameters.get("presence", {}))
    except (TypeError, AttributeError) as error:
        raise UserError(f"{where}: not parameters of a {spec.name} ({error})") from None
    changed = dataclasses.replace(spec, online=online, presence=presence)
    try:
        return _parsed(changed.to_json("search"), "search")
    except ValueError as error:
        raise UserError(f"{where} cannot be used ({error})") from None


def _parsed(text: str, role: str) -> ModelSpec:
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise ValueError(f"format {found!r}, expected {FORMAT}")
    if data["role"] != role:
        raise ValueError(f"it is the {data['role']} graph, the {role} graph was expected")
    kind = str(data["kind"])
    if kind not in ("box", "response"):
        raise ValueError(f"unknown kind {kind!r}")
    precision = str(data.get("precision", "fp32"))
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}")
    spec = ModelSpec(
        name=str(data["name"]),
        kind=kind,
        pair=str(data["pair"]),
        exemplar_size=_size(data["exemplar_size"]),
        search_size=_size(data["search_size"]),
        stride=_size(data["stride"]),
        online=_numbers(usual_online(kind), data["online"]),
        presence=_numbers(usual_presence(kind), data["presence"]),
        training=dict(data.get("training", {})),
        precision=precision,
    )
    sizes = {"exemplar_size": spec.exemplar_size, "search_size": spec.search_size}
    for name, size in sizes.items():
        if kind == "box" and size % spec.stride:
            raise ValueError(f"{name} {size} is no multiple of the stride {spec.stride}")
    return spec


# parameters that would otherwise bring the arithmetic, or the computer, to an end
LIMITS = {
    "scales": (1, 9), "scale_step": (1.0, 2.0), "upsample": (1, 64), "context": (0.0, 4.0),
    "narrow": (64, MOST_PIXELS),
}  # fmt: skip
_T = TypeVar("_T", bound=BoxPolicy | ScalePolicy | PresencePolicy)


def _numbers(usual: _T, values: Any) -> _T:
    """A dataclass of numbers with other values; what is missing stays as usual."""
    names = {f.name: f for f in dataclasses.fields(usual)}
    unknown = set(values) - set(names)
    if unknown:
        raise ValueError(f"unknown parameters {sorted(unknown)}")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{name} is {value!r}, not a number")
        low, high = LIMITS.get(name, (0, 1000))
        if not low <= value <= high:  # nor is NaN
            raise ValueError(f"{name} is {value!r:.40}, outside of {low}..{high}")
        if name == "scales" and value % 2 != 1:
            raise ValueError(f"{name} is {value!r}, not an odd number: one keeps the size as it is")
    # json keeps 8.0 and 8 apart, the dataclass decides
    cast: dict[str, Any] = {
        name: int(value) if names[name].type == "int" else float(value)
        for name, value in values.items()
    }
    return dataclasses.replace(usual, **cast)


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_PIXELS:
        raise ValueError(f"size {value!r} is not a whole number of 1..{MOST_PIXELS}")
    return value

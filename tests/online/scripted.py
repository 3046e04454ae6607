"""A network that answers what a test tells it to: logic is tested without weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tracker import SiameseTracker
from tracker.runtime import SearchOutput
from tracker.spec import BoxPolicy, ModelSpec, PresencePolicy, ScalePolicy

SPEC = ModelSpec(
    name="scripted", kind="box", pair="0" * 64, exemplar_size=128, search_size=256, stride=16,
    online=BoxPolicy(
        window=0.3, penalty=0.05, size_rate=1.0, motion=0.0, narrow=256, blend=0.0
    ),
    presence=PresencePolicy(
        sure=0.5, doubt=0.25, patience=3, return_score=0.5, return_drop=2.0, colour_drop=0.0,
        return_colour_drop=1.0,
    ),
)  # fmt: skip

SIAMFC = dataclasses.replace(
    SPEC, kind="response", exemplar_size=127, search_size=255, stride=8, online=ScalePolicy()
)


def response(
    score: float,
    corners: tuple[float, float, float, float],
    identity: float = 1.0,
    size: int = 256,
) -> SearchOutput:
    """One peak of ``score`` at the middle of a box, whose identity has that cosine."""
    x1, y1, x2, y2 = corners
    cells = size // 16
    scores = np.full((1, cells, cells), 0.001, np.float32)
    row = int(np.clip((y1 + y2) / 2 // 16, 0, cells - 1))
    column = int(np.clip((x1 + x2) / 2 // 16, 0, cells - 1))
    scores[0, row, column] = score
    boxes = np.empty((1, 4, cells, cells), np.float32)
    boxes[0] = np.float32(corners)[:, None, None]
    features = np.zeros((1, 2, cells, cells), np.float32)
    features[:, 0], features[:, 1] = identity, np.sqrt(1 - identity**2)
    return SearchOutput(scores, boxes, features)


@dataclass
class ScriptedNetwork:
    """Sees green rectangles: the crop itself decides what ``search`` answers.

    Attributes:
        see: turns a search crop into one answer.
        calls: batch size of every call of ``search``.
        sizes: pixels a side of the crops of every call.
    """

    see: Callable[[np.ndarray], SearchOutput]
    spec: ModelSpec = SPEC
    calls: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def embed(self, crops, boxes):  # type: ignore[no-untyped-def]
        count = len(crops)
        identity = np.tile(np.float32([1, 0]), (count, 1))
        return np.zeros((count, 66, 4), np.float32), identity

    def search(self, embedding, crops):  # type: ignore[no-untyped-def]
        assert len(embedding) in (1, len(crops))
        self.calls.append(len(crops))
        self.sizes.append(crops.shape[1])
        answers = [self.see(crop) for crop in crops]
        parts = [[getattr(a, name) for a in answers] for name in ("score", "boxes", "identity")]
        return SearchOutput(*(np.concatenate(p) for p in parts))


@dataclass
class ResponseNetwork(ScriptedNetwork):
    """The same of kind ``response``: ``see`` gives SiamFC's map of one crop."""

    spec: ModelSpec = SIAMFC

    def embed(self, crops, boxes):  # type: ignore[no-untyped-def]
        return np.zeros((len(crops), 4, 6, 6), np.float32), None

    def search(self, embedding, crops):  # type: ignore[no-untyped-def]
        return SearchOutput(np.concatenate([self.see(crop).score for crop in crops]))


def see_green(crop: np.ndarray) -> SearchOutput:
    """Score .95 and the exact box where the crop is green, .01 where it is not."""
    ys, xs = np.nonzero((crop[..., 1] > 127) & (crop[..., 2] < 100))
    if len(xs) < 20:
        return response(0.01, (96, 96, 160, 160), identity=0.0, size=len(crop))
    x1, y1, x2, y2 = (float(v) for v in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    return response(0.95, (x1, y1, x2, y2), size=len(crop))


def scene(
    box: tuple[float, float, float, float] | None, width: int = 640, height: int = 480
) -> np.ndarray:
    """A grey frame with a green target, or without one."""
    image = np.full((height, width, 3), 90, np.uint8)
    if box is not None:
        x, y, w, h = (round(v) for v in box)
        image[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = (40, 220, 40)
    return image


def see_both(
    target: float, other: float, identity: float = 0.95
) -> Callable[[np.ndarray], SearchOutput]:
    """Scores of a target, which is green, and of a brighter thing of identity .8."""

    def see(crop: np.ndarray) -> SearchOutput:
        answer = response(0.01, (96, 96, 160, 160), identity=0.0, size=len(crop))
        red = crop[..., 2]
        green = (crop[..., 1] > 127) & (red < 100)
        for shown, score, cosine in ((green, target, identity), (red > 200, other, 0.8)):
            ys, xs = np.nonzero(shown)
            if len(xs) < 20:
                continue
            x1, y1, x2, y2 = (float(v) for v in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
            one = response(score, (x1, y1, x2, y2), cosine, len(crop))
            row, column = np.unravel_index(one.score[0].argmax(), one.score[0].shape)
            answer.score[0, row, column] = score
            answer.boxes[0, :, row, column] = one.boxes[0, :, row, column]
            cells = np.s_[:, int(y1 // 16) : int(y2 // 16) + 1, int(x1 // 16) : int(x2 // 16) + 1]
            answer.identity[0][cells] = one.identity[0][cells]
        return answer

    return see


def both(box: tuple[float, float, float, float], other: tuple[float, float]) -> np.ndarray:
    """The target, and something of 50 x 40 pixels that is brighter, at ``other``."""
    image = scene(box)
    x, y = (round(v) for v in other)
    image[y : y + 40, x : x + 50] = (40, 220, 240)
    return image


def green_tracker() -> tuple[SiameseTracker, ScriptedNetwork]:
    network = ScriptedNetwork(see_green)
    return SiameseTracker(network), network

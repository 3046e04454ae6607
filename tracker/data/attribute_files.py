"""What data sets say of whole sequences: the ``att`` files that come with their toolkits.

Each sequence has a file with one row of 0 and 1, in an order that only the toolkits' plotting
scripts tell. The orders below were held against the data for OTB-100 and UAV123: the sums of
the columns are the numbers of sequences that the papers print for each attribute. Those of
DTB70 and UAVDT are what their scripts say.

The names are those of ``tracker.evaluation.attributes`` where it has the same attribute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tracker.data.annotations import read_text
from tracker.errors import UserError

OTB = (
    "illumination change", "out-of-plane rotation", "scale change", "occlusion", "deformation",
    "motion blur", "fast motion", "in-plane rotation", "out of view", "background clutter",
    "low resolution",
)  # fmt: skip
"""Wu, Lim, Yang 2015; ``attName`` of the toolkit's ``perfPlot.m``."""

UAV123 = (
    "scale change", "aspect change", "low resolution", "fast motion", "full occlusion",
    "partial occlusion", "out of view", "background clutter", "illumination change",
    "viewpoint change", "camera motion", "similar object",
)  # fmt: skip
"""Mueller, Smith, Ghanem 2016, table 2; also the order of UAV20L."""

LASOT = (
    "illumination change", "partial occlusion", "deformation", "motion blur", "camera motion",
    "rotation", "background clutter", "viewpoint change", "scale change", "full occlusion",
    "fast motion", "out of view", "low resolution", "aspect change",
)  # fmt: skip
"""Fan et al. 2019; ``att_name`` of the toolkit's ``run_tracker_performance_evaluation.m``."""

DTB70 = (
    "scale change", "aspect change", "occlusion", "deformation", "fast camera motion",
    "in-plane rotation", "out-of-plane rotation", "out of view", "background clutter",
    "similar object", "motion blur",
)  # fmt: skip
"""Li, Yeung 2017; ``attName`` of ``experiments/perfPlot.m``. The files have an eleventh column
that it does not name; motion blur is the one of the paper's attributes that is left for it."""

UAVDT = (
    "background clutter", "camera motion", "object motion", "small object",
    "illumination change", "object blur", "scale change", "long-term", "large occlusion",
)  # fmt: skip
"""Du et al. 2018; ``attName`` of the ``perfPlot.m`` of its single-object toolkit, whose files
are called ``S0101_att.txt``."""

PLACES = ("att", "anno/att", "annos/att")


class AttributeFiles:
    """The attribute files of a data set; none is no error, a damaged one is.

    Args:
        folders: where they may be; the first that exists is taken.
        names: of the columns.
    """

    def __init__(self, folders: list[Path], names: tuple[str, ...]) -> None:
        self._names = names
        folder = next((f for f in folders if f.is_dir()), None)
        files = folder.glob("*.txt") if folder else ()
        self._files = {_plain(p.stem.removesuffix("_att")): p for p in files}

    def of(self, sequence: str) -> Mapping[str, bool]:
        """What is stated of a sequence, by attribute; empty where nothing is.

        Full and partial occlusion are told apart by some; either of them is an ``occlusion``.

        Raises:
            UserError: a file that has not one 0 or 1 for each attribute.
        """
        path = self._files.get(_plain(sequence))
        if path is None:
            return {}
        words = [w for w in re.split(r"[,;\s]+", read_text(path)) if w]
        if len(words) != len(self._names) or set(words) - {"0", "1"}:
            raise UserError(
                f"{path}: expected {len(self._names)} values of 0 or 1, one for each attribute, "
                f"found {' '.join(words)[:60]!r}"
            )
        stated = {n: w == "1" for n, w in zip(self._names, words, strict=True)}
        parts = [stated[n] for n in ("full occlusion", "partial occlusion") if n in stated]
        return {**stated, "occlusion": any(parts)} if parts else stated


def _plain(name: str) -> str:
    """OTB's files are called ``jogging-1`` where the sequence is ``Jogging.1``."""
    return name.lower().replace("-", ".")

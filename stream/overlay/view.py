"""How heat is shown: colormap, opacity, scale and classes, set by the phone, the host or an option."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from whycam.stream.inference.explainer import MAX_PINNED
from whycam.stream.overlay.colormaps import COLORMAPS, Colormap

Scale = Literal["own", "steady"]
SCALES: tuple[Scale, ...] = get_args(Scale)
OLD_WORDS = {"pinned": "hold", "occlude": "hide"}
"""Names of settings on the wire and on disk, which clients and recordings depend on."""

SURE = 0.2
"""Below this probability the live pages call the best class a guess, by default."""


@dataclass(frozen=True, slots=True)
class View:
    """The chosen view: pinned classes (none: the best one), opacity and colours.

    `scale` defines full heat: each map's `own` maximum, or one `steady` scale for neighbouring frames and all classes
    (`stream.live.scale_smoothing`), which needs a live stream. Raises `ValueError` for invalid values.
    """

    pinned: tuple[int, ...] = ()
    opacity: float = 0.7
    colormap: Colormap = "inferno"
    scale: Scale = "own"
    occlude: bool = False
    """Whether the hottest region of the first class drawn is covered (`stream.overlay.occlusion`)."""
    difference: bool = False
    """Whether two pinned classes are drawn as their difference (`stream.overlay.difference`)."""

    def __post_init__(self) -> None:
        if self.colormap not in COLORMAPS:
            raise ValueError(f"There is no colormap '{self.colormap}'. Choose one of {', '.join(COLORMAPS)}.")
        if self.scale not in SCALES:
            raise ValueError(f"There is no scale '{self.scale}'. Choose one of {', '.join(SCALES)}.")
        if not 0 <= self.opacity <= 1:
            raise ValueError(f"The opacity should be 0 to 1, it is {self.opacity}.")
        if len(self.pinned) > MAX_PINNED:
            raise ValueError(f"At most {MAX_PINNED} classes can be held, these are {len(self.pinned)}.")

    @property
    def compares(self) -> bool:
        """Whether a difference is drawn: there are exactly two classes to compare."""
        return self.difference and len(self.pinned) == 2

    def settings(self) -> dict[str, Any]:
        """The fields by their names in reports and sidecars (`OLD_WORDS`); `difference` only if it is True."""
        named = {OLD_WORDS.get(name, name): getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in named.items() if name != "difference" or value}

    def renumbered(self, before: Sequence[str], labels: Sequence[str]) -> View:
        """The view for a model with other labels: a pinned class stays pinned under its new number, or is released.

        Labels need not be unique. A class that has the same number and label in both models keeps its number. One that
        is not among `before`, as that of a class set, is released.
        """
        numbers = {label: number for number, label in reversed(list(enumerate(labels)))}
        own = [c for c in self.pinned if c < len(before)]
        same = {c for c in own if c < len(labels) and labels[c] == before[c]}
        found = (c if c in same else numbers.get(before[c]) for c in own)
        return replace(self, pinned=tuple(dict.fromkeys(c for c in found if c is not None)))

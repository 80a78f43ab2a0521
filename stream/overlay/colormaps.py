"""The colours of heat: colormaps by name, the colours of pinned classes, and tables of them in a frame's own YUV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import cv2
import numpy as np

from whycam.stream.video.planes import Bytes, as_bytes

Colormap = Literal["inferno", "viridis", "magma", "cividis", "turbo", "jet"]
COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)
PINNED_COLORS = ("#ff9e1b", "#3aa0ff", "#3ddc84", "#ff6fae", "#c79bff")
"""Colours of classes drawn together, in the order in which they are pinned. The first two, orange and blue, which the
page uses as well, are distinct for colour-blind viewers."""
CLASS_COLORS_ON_LIGHT = ("#9a5200", "#0b62b0", "#1c7331", "#b3264a", "#6b3fc4", "#0b6b6c", "#6b6000", "#5c5260")
CLASS_COLORS_ON_DARK = ("#ffb84d", "#5cb8ff", "#7ee08a", "#ff8fa3", "#c9a2ff", "#62dfd6", "#f2e07a", "#d0cad6")
"""Of a film's classes in lists and charts, in the order of `places_of`; the first two look like two pinned ones."""


def places_of(classes: Sequence[int], pinned: Sequence[int]) -> dict[int, int]:
    """Each class's place in the colours: two that are pinned have the first, the others follow as they are ordered."""
    first = [*pinned[: len(CLASS_COLORS_ON_LIGHT)]] if len(pinned) > 1 else []
    return {class_id: place for place, class_id in enumerate(dict.fromkeys([*first, *classes]))}


DARKEST = 0.3
"""Brightness of such a colour at zero heat."""


def colours(colormap: Colormap) -> Bytes:
    """RGB (256, 3) of the heat 0…255."""
    number = getattr(cv2, f"COLORMAP_{colormap.upper()}")
    bgr = as_bytes(cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], number))[:, 0]
    return np.ascontiguousarray(bgr[:, ::-1])


Shade: TypeAlias = Colormap | int
"""How one map is coloured: by a colormap, or in shades of one of `PINNED_COLORS`."""


def shades(colormap: Colormap, count: int) -> list[Shade]:
    """The shade of each of `count` maps drawn together: the colormap for a single one, otherwise a colour for each."""
    return [colormap] if count == 1 else list(range(count))


def colours_of(shade: Shade) -> Bytes:
    """RGB (256, 3) of the heat 0…255; the hottest shade is the colour itself."""
    if isinstance(shade, str):
        return colours(shade)
    full = np.array([int(PINNED_COLORS[shade][at : at + 2], 16) for at in (1, 3, 5)])
    return np.asarray(np.rint(np.linspace(DARKEST, 1, 256)[:, None] * full), np.uint8)

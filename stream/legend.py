"""What the colours of the heat mean: a bar from low to high."""

from __future__ import annotations

from collections.abc import Sequence

import av
import cv2
import numpy as np

from stream.planes import Bytes, Colour, layers

_FONT = cv2.FONT_HERSHEY_DUPLEX
_LETTER = 22  # height of a capital letter of this font at scale 1, in pixels


def draw_legend(frame: av.VideoFrame, colours: Sequence[Bytes]) -> None:
    """Draw the colours (256, 3) of the heat 0…255 into the lower right corner, in place; on tiny frames nothing.

    Of several maps each has a stripe of its own.
    """
    capital = min(frame.width, frame.height) / 40
    scale = capital / _LETTER
    width, height = 16 * round(capital), 2 * round(capital * 1.6)
    if scale < 0.3 or width > frame.width:
        return
    rgb = _bar(width, height, colours, scale)
    x, y = (frame.width - width) & ~1, (frame.height - height) & ~1
    targets = layers(frame)
    if len(targets) == 1:
        targets[0][y : y + height, x : x + width] = rgb
        return
    yuv = Colour.of(frame).from_rgb(rgb.reshape(-1, 3)).reshape(rgb.shape)
    small = cv2.resize(yuv, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    targets[0][y : y + height, x : x + width] = yuv[..., 0]
    for index in (1, 2):
        targets[index][y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = small[..., index]


def _bar(width: int, height: int, colours: Sequence[Bytes], scale: float) -> Bytes:
    rgb = np.full((height, width, 3), 30, np.uint8)
    pad = round(0.4 * scale * _LETTER)
    thickness = max(1, round(scale * 1.2))
    words = [cv2.getTextSize(word, _FONT, scale, 1)[0] for word in ("low", "high")]
    baseline = (height + words[1][1]) // 2
    white = (255, 255, 255)
    cv2.putText(rgb, "low", (pad, baseline), _FONT, scale, white, thickness, cv2.LINE_AA)
    right = width - pad - words[1][0]
    cv2.putText(rgb, "high", (right, baseline), _FONT, scale, white, thickness, cv2.LINE_AA)
    left, right = 2 * pad + words[0][0], right - pad
    steps = np.linspace(0, 255, right - left).round().astype(int)
    edges = np.linspace(height // 4, height - height // 4, len(colours) + 1).round().astype(int)
    for table, upper, lower in zip(colours, edges[:-1], edges[1:], strict=True):
        rgb[upper:lower, left:right] = table[steps]
    return rgb

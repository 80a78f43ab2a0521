"""Text on a frame: the label, white letters on a dark box, and the legend, a bar of the heat's colours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import av
import cv2
import numpy as np

from whycam.stream.video.planes import Bytes, Colour, layers

_FONT = cv2.FONT_HERSHEY_DUPLEX
_BOX = 0.35  # of the frame's level, under the label's box
_LETTER = 22  # height of a capital letter of this font at scale 1, in pixels


class _Label(NamedTuple):
    """What is drawn onto a frame's corner: its levels times `keep` / 255, plus `ink`; in luma, or in all colours."""

    keep: Bytes
    ink: Bytes


def write_label(frame: av.VideoFrame, lines: Sequence[str]) -> None:
    """Write lines into the upper left corner, in place; a capital is 1/25 of the shorter side high."""
    if not lines:
        return
    luma, *chroma = layers(frame)
    height, width = luma.shape[:2]
    texts = tuple(line.encode("ascii", "replace").decode() for line in lines)  # the font has no other letters
    rgb = frame.format.name == "rgb24"
    levels = (0, 255) if rgb or Colour.of(frame).full_range else (16, 235)
    label = _label(texts, width, height, *levels)
    if not label.keep.size:  # of a frame of one pixel
        return
    bottom, right = label.keep.shape
    box = luma[:bottom, :right]
    keep, ink = (cv2.merge([layer] * 3) if rgb else layer for layer in label)
    cv2.multiply(box, keep, dst=box, scale=1 / 255)
    cv2.add(box, ink, dst=box)
    for plane in chroma:
        grey = plane[: bottom // 2, : right // 2]
        cv2.addWeighted(grey, _BOX, grey, 0, (1 - _BOX) * 128, dst=grey)


@lru_cache(maxsize=64)
def _label(texts: tuple[str, ...], width: int, height: int, black: int, white: int) -> _Label:
    """The label of a frame of this size, on its dark box, whose sides are even."""
    scale = max(min(width, height) / 25 / _LETTER, 0.3)
    text_width, text_height, descent = _size(texts, scale)
    if text_width > 0.9 * width:
        scale *= 0.9 * width / text_width
        text_width, text_height, descent = _size(texts, scale)
    pad = text_height // 2
    step = text_height + descent + pad
    right = min(width, text_width + 3 * pad + 1) & ~1
    bottom = min(height, text_height + descent + 2 * pad + 1 + step * (len(texts) - 1)) & ~1
    letters = np.zeros((max(1, bottom), max(1, right)), np.uint8)
    thickness = max(1, round(scale * 1.2))
    for number, text in enumerate(texts):
        place = (pad + pad // 2, pad + text_height + number * step)
        cv2.putText(letters, text, place, _FONT, scale, 255, thickness, cv2.LINE_AA)
    cover = letters[:bottom, :right] / 255
    return _Label(
        np.rint(255 * _BOX * (1 - cover)).astype(np.uint8),
        np.rint((1 - _BOX) * black * (1 - cover) + white * cover).astype(np.uint8),
    )


def _size(texts: Sequence[str], scale: float) -> tuple[int, int, int]:
    """Width of the longest text, height of a capital, and descent below the baseline."""
    sizes = [cv2.getTextSize(text, _FONT, scale, 1) for text in texts]
    return max(size[0] for size, _ in sizes), sizes[0][0][1], sizes[0][1]


def draw_legend(frame: av.VideoFrame, colours: Sequence[Bytes]) -> None:
    """Draw tables (256, 3) over the heat 0…255 into the lower right corner, in place; tiny frames get none.

    Each of several maps has its own stripe.
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

"""Text on a frame: a dark box with white letters."""

from __future__ import annotations

from collections.abc import Sequence

import av
import cv2

from stream.planes import Colour, layers

_FONT = cv2.FONT_HERSHEY_DUPLEX
_LETTER = 22  # height of a capital letter of this font at scale 1, in pixels


def write_label(frame: av.VideoFrame, lines: Sequence[str]) -> None:
    """Write lines into the upper left corner, in place, one capital a twenty-fifth of the short side high."""
    if not lines:
        return
    luma, *chroma = layers(frame)
    height, width = luma.shape[:2]
    scale = max(min(width, height) / 25 / _LETTER, 0.3)
    texts = [line.encode("ascii", "replace").decode() for line in lines]  # the font has no other letters
    text_width, text_height, descent = _size(texts, scale)
    if text_width > 0.9 * width:
        scale *= 0.9 * width / text_width
        text_width, text_height, descent = _size(texts, scale)
    pad = text_height // 2
    step = text_height + descent + pad
    right = min(width, text_width + 3 * pad + 1) & ~1
    bottom = min(height, text_height + descent + 2 * pad + 1 + step * (len(texts) - 1)) & ~1
    rgb = frame.format.name == "rgb24"
    black, white = (0, 255) if rgb or Colour.of(frame).full_range else (16, 235)
    box = luma[:bottom, :right]
    cv2.addWeighted(box, 0.35, box, 0, 0.65 * black, dst=box)
    thickness = max(1, round(scale * 1.2))
    ink = (white, white, white) if rgb else white
    for number, text in enumerate(texts):
        place = (pad + pad // 2, pad + text_height + number * step)
        cv2.putText(box, text, place, _FONT, scale, ink, thickness, cv2.LINE_AA)
    for plane in chroma:
        grey = plane[: bottom // 2, : right // 2]
        cv2.addWeighted(grey, 0.35, grey, 0, 0.65 * 128, dst=grey)


def _size(texts: Sequence[str], scale: float) -> tuple[int, int, int]:
    """Width of the longest, height of a capital, and how far letters go below the line."""
    sizes = [cv2.getTextSize(text, _FONT, scale, 1) for text in texts]
    return max(size[0] for size, _ in sizes), sizes[0][0][1], sizes[0][1]

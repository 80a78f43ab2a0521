"""Fits a frame to the network's input image, and gives the part of the frame that a heatmap covers."""

from __future__ import annotations

from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from whycam.models.contract import Fitting
from whycam.stream.video.planes import Bytes, Colour, as_bytes, planes

# AREA averages pixels, so a large frame does not alias. Without ACCURATE_RND the image is darker.
_SHRINK = Interpolation.AREA | Interpolation.ACCURATE_RND


class Rectangle(NamedTuple):
    """A part of a frame, in pixels; x and y are even, so that it is aligned with the chroma grid."""

    x: int
    y: int
    width: int
    height: int


class Fit:
    """`stretch` scales the whole frame to the image; `crop` takes the largest centre part with its aspect ratio.

    `size` is the height and width of the network's image. One thread uses a `Fit` at a time.
    """

    def __init__(self, kind: Fitting, size: tuple[int, int]) -> None:
        self.kind = kind
        self.size = size
        self._reformatter = VideoReformatter()

    def rectangle(self, width: int, height: int) -> Rectangle:
        """The part of a frame of this size that the network sees."""
        if self.kind == "stretch":
            return Rectangle(0, 0, width, height)
        rows, columns = self.size
        seen_width = max(1, min(width, height * columns // rows))
        seen_height = max(1, min(height, width * rows // columns))
        return Rectangle((width - seen_width) // 2 & ~1, (height - seen_height) // 2 & ~1, seen_width, seen_height)

    def image(self, frame: av.VideoFrame) -> Bytes:
        """The network's RGB image (H, W, 3) of a yuv420p or rgb24 frame."""
        rows, columns = self.size
        seen = _cut(frame, self.rectangle(frame.width, frame.height))
        if frame.format.name == "rgb24":
            small = self._reformatter.reformat(seen, columns, rows, "rgb24", interpolation=_SHRINK, threads=1)
            return as_bytes(small.to_ndarray())
        # swscale only shrinks the planes; the conversion to RGB is our own, because swscale's rounds down.
        small = self._reformatter.reformat(seen, columns, rows, "yuv444p", interpolation=_SHRINK, threads=1)
        return Colour.of(frame).to_rgb(as_bytes(cv2.merge(planes(small))))


def _cut(frame: av.VideoFrame, part: Rectangle) -> av.VideoFrame:
    x, y, width, height = part
    if (width, height) == (frame.width, frame.height):
        return frame
    if frame.format.name == "rgb24":
        whole = as_bytes(frame.to_ndarray())
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(whole[y : y + height, x : x + width]), "rgb24")
    cut = av.VideoFrame(width, height, "yuv420p")
    cut.colorspace, cut.color_range = frame.colorspace, frame.color_range
    luma, *chroma = planes(frame)
    to_luma, *to_chroma = planes(cut)
    np.copyto(to_luma, luma[y : y + height, x : x + width])
    for to, plane in zip(to_chroma, chroma, strict=True):
        rows, columns = to.shape
        np.copyto(to, plane[y // 2 : y // 2 + rows, x // 2 : x // 2 + columns])
    return cut

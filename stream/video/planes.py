"""The pixels of a video frame as typed arrays, and their colour matrix and range.

The only module that casts between av, OpenCV and NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal, TypeAlias

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Matrix = Literal["bt601", "bt709", "bt2020"]

# Kr and Kb of ITU-R BT.601, BT.709 and BT.2020 (non-constant luminance).
WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
HD_LINES = 720
_STRIP = 1088
PLANAR = ("yuv420p", "yuvj420p", "yuv444p")
# Code points of ITU-T H.273; PyAV 18 names only some of them, and some wrongly (its SMPTE170M is 5, which is BT.470BG).
_BT601_MATRICES = (5, 6)
_BT2020_MATRICES = (9, 10)


@dataclass(frozen=True, slots=True)
class Colour:
    """How Y, U and V encode red, green and blue."""

    matrix: Matrix
    full_range: bool

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Colour:
        """The frame's matrix and range; unspecified: limited range, BT.601 below 720 lines, BT.709 from there."""
        full_range = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        number = int(frame.colorspace)
        if number == int(Colorspace.ITU709):
            return cls("bt709", full_range)
        if number in _BT601_MATRICES:
            return cls("bt601", full_range)
        if number in _BT2020_MATRICES:
            return cls("bt2020", full_range)
        return cls("bt709" if min(frame.width, frame.height) >= HD_LINES else "bt601", full_range)

    def from_rgb(self, rgb: Bytes) -> Bytes:
        """Colours (N, 3) as Y, U, V (N, 3)."""
        matrix, offset = _rgb_to_yuv(self)
        return np.clip(np.rint(rgb @ matrix.T + offset), 0, 255).astype(np.uint8)

    def to_rgb(self, yuv: Bytes) -> Bytes:
        """An image of Y, U, V (H, W, 3) as RGB (H, W, 3)."""
        matrix, offset = _rgb_to_yuv(self)
        back = np.linalg.inv(matrix)
        affine = np.hstack([back, (-back @ offset)[:, None]]).astype(np.float32)  # (3, 4)
        return as_bytes(cv2.transform(yuv, affine))


@cache
def _rgb_to_yuv(colour: Colour) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kr, kb = WEIGHTS[colour.matrix]
    luma = np.array([kr, 1 - kr - kb, kb])
    blue = (np.array([0, 0, 1]) - luma) / (2 * (1 - kb))
    red = (np.array([1, 0, 0]) - luma) / (2 * (1 - kr))
    y_scale, c_scale, black = (1.0, 1.0, 0) if colour.full_range else (219 / 255, 224 / 255, 16)
    return np.stack([luma * y_scale, blue * c_scale, red * c_scale]), np.array([black, 128, 128], np.float64)


def planes(frame: av.VideoFrame) -> tuple[Bytes, Bytes, Bytes]:
    """Y (H, W), U and V (half of each, rounded up) of a yuv420p frame, as views: writing to them changes the frame.

    U and V of a yuv444p frame are as large as Y.

    The decoder may still use a decoded frame as a reference: call `frame.make_writable()` before writing.
    """
    if frame.format.name not in PLANAR:
        raise ValueError(f"planes() takes {' or '.join(PLANAR)} frames, this one is {frame.format.name}.")
    y, u, v = (
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]  # type: ignore[call-overload]
        for plane in frame.planes
    )
    return y, u, v


def layers(frame: av.VideoFrame) -> tuple[Bytes, ...]:
    """The planes of a yuv420p frame, or the one (H, W, 3) of an rgb24 frame; as views."""
    if frame.format.name != "rgb24":
        return planes(frame)
    (plane,) = frame.planes
    return (np.ndarray((frame.height, frame.width, 3), np.uint8, plane, 0, (plane.line_size, 3, 1)),)  # type: ignore[arg-type]


def label_as(made: av.VideoFrame, like: av.VideoFrame) -> None:
    """Copy the time stamps and colour properties of another frame."""
    made.pts, made.time_base, made.duration = like.pts, like.time_base, like.duration
    made.colorspace, made.color_range = like.colorspace, like.color_range
    made.color_trc, made.color_primaries = like.color_trc, like.color_primaries


def blank(like: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """A black frame of another size with the format, time stamps and colour properties of `like`."""
    made = av.VideoFrame(width, height, like.format.name)
    label_as(made, like)
    for layer, level in zip(layers(made), (0 if _full(like) else 16, 128, 128), strict=False):
        layer[:] = level
    return made


def _full(frame: av.VideoFrame) -> bool:
    return frame.format.name == "rgb24" or Colour.of(frame).full_range


def copied(frame: av.VideoFrame) -> av.VideoFrame:
    """A deep copy of the frame."""
    made = blank(frame, frame.width, frame.height)
    for to, layer in zip(layers(made), layers(frame), strict=True):
        to[:] = layer
    return made


def fitted(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """A yuv420p frame scaled to fit into one of this even size, centred, with black bars."""
    if (frame.width, frame.height) == (width, height):
        return frame
    made = blank(frame, width, height)
    scale = min(width / frame.width, height / frame.height)
    # On the chroma grid.
    inner = max(2, round(frame.width * scale) & ~1), max(2, round(frame.height * scale) & ~1)
    x, y = (width - inner[0]) // 2 & ~1, (height - inner[1]) // 2 & ~1
    for to, plane, step in zip(planes(made), planes(frame), (1, 2, 2), strict=True):
        small = cv2.resize(plane, (inner[0] // step, inner[1] // step), interpolation=cv2.INTER_AREA)
        to[y // step : (y + inner[1]) // step, x // step : (x + inner[0]) // step] = small
    return made


def rgb_of(frame: av.VideoFrame) -> Bytes:
    """The frame as RGB (H, W, 3), with its own matrix and range; of an rgb24 frame a copy."""
    if frame.format.name == "rgb24":
        return layers(frame)[0].copy()
    y, u, v = planes(frame)
    full = (frame.width, frame.height)
    large_u, large_v, colour = cv2.resize(u, full), cv2.resize(v, full), Colour.of(frame)
    rgb = np.empty((frame.height, frame.width, 3), np.uint8)
    for top in range(0, frame.height, _STRIP):  # at once, it would need several times the frame's memory
        part = slice(top, top + _STRIP)
        rgb[part] = colour.to_rgb(as_bytes(cv2.merge([y[part], large_u[part], large_v[part]])))
    return rgb


def as_bytes(array: object) -> Bytes:
    """An array from OpenCV with its type, which is asserted to be uint8."""
    assert isinstance(array, np.ndarray)
    assert array.dtype == np.uint8
    return array


def rgb_frame(rgb: Bytes, pts: int = 0, time_base: Fraction = Fraction(1)) -> av.VideoFrame:
    """An RGB image (H, W, 3) as an rgb24 frame."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
    frame.pts, frame.time_base = pts, time_base
    return frame


def yuv_frame(rgb: av.VideoFrame) -> av.VideoFrame:
    """An rgb24 frame as `Painter` takes it: yuv420p, in full range to lose little when converted back."""
    frame = rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.JPEG)
    frame.colorspace, frame.color_range = Colorspace.ITU601, ColorRange.JPEG
    frame.pts, frame.time_base = rgb.pts, rgb.time_base
    return frame

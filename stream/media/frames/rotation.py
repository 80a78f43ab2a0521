"""Rotates and mirrors a decoded frame by its display matrix, which says how the phone was held."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideData, Type

from whycam.stream.video.planes import as_bytes, label_as, planes


class Orientation(NamedTuple):
    """Makes a stored frame upright: transpose first, then flips."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """The orientation of the frame's display matrix, to the nearest right angle, mirrored or not."""
        _accept_unknown_types()
        # PyAV types it as a mapping, but it iterates over its values.
        side_data = cast("Iterable[SideData]", frame.side_data)
        matrix = next((data for data in side_data if data.type == Type.DISPLAYMATRIX), None)
        if matrix is None or len(memoryview(matrix)) < _MATRIX.size:
            return cls()
        # ISO/IEC 14496-12, 8.2.2.3: x' = a x + c y, y' = b x + d y; stored in the order a b u c d v x y w.
        a, b, _, c, d, *_ = _MATRIX.unpack_from(memoryview(matrix))
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, d < 0, a < 0)
        return cls(True, b < 0, c < 0)


_MATRIX = struct.Struct("=9i")


def _accept_unknown_types() -> None:
    """Let PyAV list side data of types that its enumeration lacks, such as EXIF and the views of MV-HEVC.

    Otherwise one unknown type hides all others of the frame.
    """
    Type._missing_ = classmethod(_unknown_type)  # type: ignore[assignment, method-assign]


def _unknown_type(cls: type[Type], value: Any) -> Type:
    member = object.__new__(cls)
    member._name_ = f"UNKNOWN_{value}"
    member._value_ = value
    return member


def upright(frame: av.VideoFrame, turn: Orientation) -> av.VideoFrame:
    """The oriented yuv420p frame; an odd last row or column, which H.264 cannot store, is dropped."""
    if turn == Orientation() and not frame.width % 2 and not frame.height % 2:
        return frame
    width, height = (frame.height, frame.width) if turn.transpose else (frame.width, frame.height)
    made = av.VideoFrame(max(2, width & ~1), max(2, height & ~1), "yuv420p")
    for to, plane in zip(planes(made), planes(frame), strict=True):
        turned = plane
        if turn.transpose:
            turned = as_bytes(cv2.transpose(turned))
        if turn.flip_rows or turn.flip_columns:
            turned = as_bytes(cv2.flip(turned, -1 if turn.flip_rows and turn.flip_columns else int(turn.flip_columns)))
        np.copyto(to, turned[: to.shape[0], : to.shape[1]])
    label_as(made, frame)
    return made

"""What a sidecar stores of the film that it describes, so that it is not drawn onto another one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import av
import cv2
import numpy as np

from whycam.stream.video.planes import Bytes, planes, rgb_of

SIDE = 8
MAX_DIFFERENCE = 8.0
"""Mean difference of the small first frames, of 255, up to which they are the same: decoders differ by less than 2."""


def fingerprint(first: av.VideoFrame) -> dict[str, Any]:
    """The size of a film's first frame, which is not painted yet, and its brightness in 8 x 8 cells."""
    small = cv2.resize(_luma(first), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return {"size": [first.width, first.height], "first": base64.b64encode(small.tobytes()).decode()}


def difference(known: Mapping[str, Any], first: av.VideoFrame) -> str:
    """How a film's first frame differs from a fingerprint, for a sentence; '' if it does not."""
    own = fingerprint(first)
    if list(known.get("size", own["size"])) != own["size"]:
        width, height = known["size"]
        return f"it is {first.width} x {first.height}, and the explained one was {width} x {height}"
    try:
        stored = np.frombuffer(base64.b64decode(known.get("first", "")), np.uint8)
    except (binascii.Error, TypeError, ValueError):
        return ""
    shown = np.frombuffer(base64.b64decode(own["first"]), np.uint8)
    if stored.shape == shown.shape and np.abs(stored.astype(int) - shown).mean() > MAX_DIFFERENCE:
        return "it begins with another image"
    return ""


def _luma(frame: av.VideoFrame) -> Bytes:
    if frame.format.name == "yuv420p":
        return planes(frame)[0]
    return np.asarray(cv2.cvtColor(rgb_of(frame), cv2.COLOR_RGB2GRAY), np.uint8)

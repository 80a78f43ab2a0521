"""The heat of taught classes in the pictures of their examples."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np

from whycam.models.contract import Contract
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.known_classes import KnownClasses
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.heatmap import drawn_maps
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.teaching.examples import Example
from whycam.stream.teaching.heat_place import is_suspicious, place_of
from whycam.stream.video.jpeg import jpeg
from whycam.stream.video.planes import Bytes, as_bytes

QUALITY = 90


def image_of(example: Example) -> Bytes:
    """An example's picture, RGB (H, W, 3), as the model takes it; raises `LookupError` if a kept one is damaged."""
    image = cv2.imdecode(np.frombuffer(example.picture, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise LookupError("This picture cannot be decoded.")
    return np.ascontiguousarray(as_bytes(image)[..., ::-1])


def index_of(classes: KnownClasses, number: int) -> int:
    """The index of a class; raises `KeyError` for an unknown number."""
    index = classes.index(number)
    if index is None:
        raise KeyError(number)
    return index


def picture_of(image: Bytes, explanation: Explanation, classes: KnownClasses, contract: Contract) -> bytes:
    """The first image of an explanation with the heat of the first class that was asked for, as JPEG."""
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
    maps = drawn_maps(explanation, 0, classes.labels)
    Painter(Fit(contract.fit, contract.input_size)).paint(frame, maps, View())
    return jpeg(frame, QUALITY)


def lying(explanation: Explanation) -> dict[str, Any]:
    """Where the heat of the first class that was asked for lies in the images on average, as JSON (docs/api.md)."""
    heats = explanation.heatmaps[:, 0]  # (N, h, w)
    mean = heats.mean(axis=0)
    place = place_of(mean)
    return {
        "border": round(place.border, 4),
        "middle": round(place.middle, 4),
        "grid": np.round(mean, 3).tolist(),
        "examples": len(heats),
        "suspicious": is_suspicious(place),
    }

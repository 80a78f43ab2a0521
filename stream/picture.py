"""One still picture: read upright, explained, painted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from stream.explainer import Explainer
from stream.fit import Fit
from stream.overlay import DrawnMap, Painter, View, drawn_maps
from stream.planes import Bytes, as_bytes, rgb_of


class PictureError(ValueError):
    """A picture cannot be read; says why and what to do."""


def read_picture(source: str | Path | Bytes) -> Bytes:
    """RGB (H, W, 3) of a picture file, turned as its EXIF says, or of such an array; raises `PictureError`."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
            raise PictureError(f"A picture is uint8 RGB (H, W, 3), this is {source.dtype} {source.shape}.")
        return source
    path = Path(source)
    if not path.is_file():
        raise PictureError(f"There is no file {path}.")
    try:
        picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # of an empty file, and of sizes beyond its limits
        picture = None
    if picture is None:
        raise PictureError(f"{path.name} is not a picture that can be read. Give a JPEG, PNG or WebP file.")
    return as_bytes(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def explain_picture(
    source: str | Path | Bytes, explainer: Explainer, targets: Sequence[int]
) -> tuple[tuple[DrawnMap, ...], Bytes, Bytes]:
    """The maps of a picture for each target, the picture, and the picture with the first map drawn onto it."""
    rgb = read_picture(source)
    contract = explainer.contract
    fit = Fit(contract.fit, contract.size)
    explanation = explainer.explain(fit.picture(av.VideoFrame.from_ndarray(rgb, "rgb24"))[None], targets)
    maps = drawn_maps(explanation, 0, contract.labels)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.JPEG
    )
    frame.colorspace, frame.color_range = Colorspace.ITU601, ColorRange.JPEG
    Painter(fit).paint(frame, maps[:1], View())
    return maps, rgb, rgb_of(frame)

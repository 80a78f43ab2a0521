"""A frame as a JPEG image."""

from __future__ import annotations

import av
import cv2

from whycam.stream.video.planes import PLANAR, Bytes, rgb_of


def jpeg(frame: av.VideoFrame, quality: int, width: int | None = None) -> bytes:
    """The frame with its own colours, at most `width` pixels wide."""
    rgb = rgb_of(frame if frame.format.name in PLANAR else frame.reformat(format="yuv420p"))
    if width is not None and frame.width > width:
        height = max(1, round(frame.height * width / frame.width))
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return jpeg_of_rgb(rgb, quality)


def jpeg_of_rgb(image: Bytes, quality: int) -> bytes:
    """An RGB image (H, W, 3)."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()

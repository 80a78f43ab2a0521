"""Photographs as the frames of a film, unchanged, as `ffmpeg -i IMG_%d.jpg -c copy` joins them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

from whycam.stream.video.planes import Bytes

ORIENTATION = 0x0112


def photograph(rgb: Bytes, orientation: int = 1) -> bytes:
    """A JPEG (H, W, 3) whose EXIF has an orientation, 1…8."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=95, exif=exif.tobytes())
    return file.getvalue()


def time_lapse(path: Path, photographs: Sequence[bytes], rate: int = 5) -> Path:
    """A film of motion JPEG, one frame for each photograph."""
    width, height = Image.open(io.BytesIO(photographs[0])).size
    with av.open(path, "w") as file:
        video = file.add_mux_stream("mjpeg", rate, width=width, height=height)
        video.time_base = Fraction(1, rate)
        for number, data in enumerate(photographs):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = video, Fraction(1, rate), True
            packet.pts = packet.dts = number
            packet.duration = 1
            file.mux(packet)
    return path

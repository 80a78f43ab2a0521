"""EXIF of image files: how the camera was held, and what a copy keeps. Damaged EXIF never hides the image."""

from __future__ import annotations

import struct

from PIL import Image

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image with this orientation becomes upright (EXIF 2.3, 4.6.4)."""
_PREFIX = b"Exif\0\0"
MAX_BYTES = 65_000
"""Most bytes of EXIF that a JPEG can store."""


def upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image as it was seen, and whether its EXIF could be read; without EXIF it is returned unchanged."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - Pillow raises nearly any error for damaged EXIF
        return image, False
    return (image if turn is None else image.transpose(turn)), True


def kept_exif(image: Image.Image) -> bytes | None:
    """The EXIF for a copy that is upright; empty if there is none, None if it cannot be kept."""
    stored = image.info.get("exif")
    try:
        if isinstance(stored, bytes) and stored:
            made = _with_orientation_1(stored)
        else:
            exif = image.getexif()
            exif.pop(_ORIENTATION, None)
            made = exif.tobytes() if len(exif) else b""
    except Exception:  # noqa: BLE001 - as above
        return None
    return made if len(made) <= MAX_BYTES else None


def _with_orientation_1(stored: bytes) -> bytes:
    """The same EXIF, byte for byte, but for the orientation: offsets in it stay valid.

    Raises `struct.error` or `ValueError` if its first directory is damaged (TIFF 6.0, section 2).
    """
    begin = len(_PREFIX) if stored.startswith(_PREFIX) else 0
    data = bytearray(stored)
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[begin : begin + 2]))
    if order is None:
        raise ValueError("EXIF has no byte order.")
    (directory,) = struct.unpack_from(f"{order}I", data, begin + 4)
    (count,) = struct.unpack_from(f"{order}H", data, begin + directory)
    for number in range(count):
        at = begin + directory + 2 + 12 * number
        tag, *_ = struct.unpack_from(f"{order}HHI4s", data, at)
        if tag == _ORIENTATION:
            struct.pack_into(f"{order}HIHH", data, at + 2, 3, 1, 1, 0)  # one SHORT
    return bytes(data) if begin else _PREFIX + bytes(data)

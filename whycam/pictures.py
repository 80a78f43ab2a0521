"""What `whycam.explain` takes as a picture: files, bytes, Pillow images and arrays, as RGB (H, W, 3)."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whycam.stream.media.image import ImageError, decode_image, open_image, read_opened
from whycam.stream.media.images.tones import scaled
from whycam.stream.video.planes import Bytes

Picture: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[Any]"
Range: TypeAlias = "tuple[float, float]"
_KINDS = "a file's name, bytes, a file object, a PIL.Image, or an array: uint8 RGB, RGBA or grey (H, W[, 1, 3 or 4])"


def picture_of(source: Picture, value_range: Range | None = None) -> Bytes:
    """The picture as RGB (H, W, 3), upright; `value_range` is what is black and white in an array that is not uint8.

    Raises `ImageError`.
    """
    if isinstance(source, np.ndarray):
        return _of_array(source, value_range)
    if value_range is not None:
        raise ImageError(f"value_range is for arrays, not for {type(source).__name__}.")
    if isinstance(source, Image.Image):
        return read_opened(source, "The picture").rgb
    if isinstance(source, (str, os.PathLike)):
        return open_image(Path(source)).rgb
    if isinstance(source, (bytes, bytearray, memoryview)):
        return decode_image(BytesIO(source), "The picture").rgb
    if hasattr(source, "read"):
        return _of_file(source)
    raise ImageError(f"A picture is {_KINDS}, not {type(source).__name__}.")


def _of_file(file: IO[bytes]) -> Bytes:
    name = str(getattr(file, "name", "The picture"))
    data: object = file.read()  # of a file that was opened as text, a string
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ImageError(f"{name} was opened as text. Open it with mode 'rb'.")
    if not data:
        raise ImageError(f"{name} has no bytes from where it is read. If it was just written, call seek(0).")
    return decode_image(BytesIO(data), name).rgb


def _of_array(array: NDArray[Any], value_range: Range | None) -> Bytes:
    shape = f"{array.dtype} {array.shape}"
    if array.ndim not in (2, 3) or not array.size or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"A picture is {_KINDS}; this array is {shape}.")
    if array.dtype != np.uint8 or value_range is not None:
        if value_range is None:
            raise ImageError(
                f"This array is {shape}: say what is black and white in it, such as value_range=(0, 1), or give uint8."
            )
        low, high = value_range
        if not low < high:
            raise ImageError(f"value_range is black, white, such as (0, 1), not {value_range}.")
        array = scaled(array, low, high)
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] == 4:  # transparent pixels are white, as in files
        alpha = array[..., 3:].astype(np.uint16)
        return np.asarray((array[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255, np.uint8)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array

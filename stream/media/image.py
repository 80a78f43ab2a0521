"""Reads image files, upright and in sRGB, and writes them."""

from __future__ import annotations

import os
import warnings
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from whycam.stream.video.planes import Bytes, as_bytes

ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif"}
)
"""Suffixes of image files, in lower case."""
WRITTEN = frozenset({".jpg", ".jpeg", ".png", ".webp"})
"""Suffixes of images that whycam writes."""
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
MAX_PIXELS = 128_000_000
"""Most pixels of an image; a phone's largest have 50 to 108 million."""
QUALITY = 95
_ORIENTATION = 0x0112


class ImageError(ValueError):
    """An image cannot be read or written; says why and what to do."""


def read_image(source: str | Path | Bytes) -> Bytes:
    """RGB (H, W, 3) of an image file, oriented by its EXIF, or such an array itself; raises `ImageError`.

    Transparent images are composited on white. A colour profile, such as a phone's Display P3, is converted to sRGB.
    """
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
            raise ImageError(f"An image is uint8 RGB (H, W, 3), this is {source.dtype} {source.shape}.")
        return source
    if not isinstance(source, (str, Path)):
        raise ImageError(f"An image is a file's name, or uint8 RGB (H, W, 3), not {type(source).__name__}.")
    path = Path(source)
    if path.is_dir():
        raise ImageError(f"{path} is a folder. Give an image file.")
    if not path.is_file():
        raise ImageError(f"There is no file {path}.")
    if not path.stat().st_size:
        raise ImageError(f"{path.name} is empty (0 bytes).")
    _take_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large images, which have a limit below, and odd metadata
            with Image.open(path, formats=_formats()) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(
                        f"{path.name} is {image.width} x {image.height}; at most {MAX_PIXELS // 1_000_000} megapixels "
                        "are allowed. Make it smaller."
                    )
                return as_bytes(np.asarray(_on_white(_in_srgb(ImageOps.exif_transpose(image)))))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own, larger limit
        raise ImageError(
            f"{path.name} is enormous; at most {MAX_PIXELS // 1_000_000} megapixels are allowed. Make it smaller."
        ) from error
    except PermissionError as error:
        raise ImageError(f"{path.name} cannot be read ({error.strerror}).") from error
    # Pillow's readers raise nearly any error for damaged files.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        heic = path.suffix.lower() in (".heic", ".heif") and not _take_heic()
        advice = "Install the reader: pip install 'whycam[heic]'." if heic else "Give a JPEG, PNG or WebP file."
        raise ImageError(f"{path.name} is not an image that can be read. {advice}") from error


def is_image(path: Path) -> bool:
    """Whether the file is an image by its suffix or its first bytes."""
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return False
    return start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or (
        start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    )


def exif_of(path: Path) -> bytes:
    """The image's EXIF without its orientation, which `read_image` applies; empty if there is none."""
    _take_heic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=_formats()) as image:
            exif = image.getexif()
            exif.pop(_ORIENTATION, None)
            return exif.tobytes() if len(exif) else b""


def write_image(path: Path, rgb: Bytes, exif: bytes = b"") -> None:
    """Write RGB (H, W, 3) in the format of the suffix; the file gets its name when complete. Raises `ImageError`."""
    part = path.with_name(path.name + ".part")
    kind = {".png": "PNG", ".webp": "WEBP"}.get(path.suffix.lower(), "JPEG")
    options = {"quality": QUALITY, **({"subsampling": 0} if kind == "JPEG" else {}), **({"exif": exif} if exif else {})}
    try:
        Image.fromarray(rgb).save(part, kind, **options)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ImageError(f"{path} cannot be written ({error.strerror or error}).") from error


def _in_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA"):
        return image
    try:
        srgb = ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(BytesIO(profile)), srgb)
    except (ImageCms.PyCMSError, OSError):  # unreadable profile: the colours stay unchanged
        return image
    return turned if turned is not None else image


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits per pixel
        return Image.fromarray((np.asarray(image, np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    white = Image.new("RGBA", clear.size, "white")
    return Image.alpha_composite(white, clear).convert("RGB")


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


@cache
def _take_heic() -> bool:
    """Let Pillow read HEIC; False if pillow-heif is not installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True

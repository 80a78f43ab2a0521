"""Reads image files, upright and in sRGB, and writes them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from whycam.stream.media.images import exif
from whycam.stream.media.images.mark import image_options
from whycam.stream.media.images.tones import to_8_bits
from whycam.stream.video.planes import Bytes

ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif"}
)
"""Suffixes of image files, in lower case."""
WRITTEN = frozenset({".jpg", ".jpeg", ".png", ".webp"})
"""Suffixes of images that whycam writes."""
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
SERIES = ("GIF", "PNG", "WEBP", "TIFF", "AVIF")
"""Formats whose further images are no thumbnails or depths of the first one, as a phone's JPEG and HEIC have them."""
MAX_PIXELS = 128_000_000
"""Most pixels of an image; a phone's largest have 50 to 108 million."""
QUALITY = 95
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_STRIP = 512


class ImageError(ValueError):
    """An image cannot be read or written; says why and what to do."""


@dataclass(frozen=True, slots=True)
class ReadImage:
    """An image file's content."""

    rgb: Bytes
    """(H, W, 3), upright and in sRGB."""
    notes: tuple[str, ...] = ()
    """What was changed or ignored to read it, a sentence each."""


def read_image(source: str | Path | Bytes) -> Bytes:
    """RGB (H, W, 3) of an image file, oriented by its EXIF, or such an array itself; raises `ImageError`."""
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
            raise ImageError(f"An image is uint8 RGB (H, W, 3), this is {source.dtype} {source.shape}.")
        return source
    if not isinstance(source, (str, Path)):
        raise ImageError(f"An image is a file's name, or uint8 RGB (H, W, 3), not {type(source).__name__}.")
    return open_image(Path(source)).rgb


def open_image(path: Path) -> ReadImage:
    """An image file, upright and in sRGB, and what was changed to read it; raises `ImageError`.

    Transparent images are composited on white. A colour profile, such as a phone's Display P3, is converted to sRGB.
    Greys of more than 8 bits that do not fill their range are stretched.
    """
    if path.is_dir():
        raise ImageError(f"{path} is a folder. Give an image file.")
    if not path.is_file():
        raise ImageError(f"There is no file {path}.")
    if not path.stat().st_size:
        raise ImageError(f"{path.name} is empty (0 bytes).")
    return decode_image(path, path.name)


def decode_image(content: Path | IO[bytes], name: str) -> ReadImage:
    """See `open_image`; `name` is the image's in messages."""
    _take_heic()
    with _errors_said(name, content), Image.open(content, formats=_formats()) as image:
        return _read(image, name)


def read_opened(image: Image.Image, name: str) -> ReadImage:
    """An image that Pillow has opened; raises `ImageError`."""
    with _errors_said(name):
        return _read(image, name)


@contextmanager
def _errors_said(name: str, content: Path | IO[bytes] | None = None) -> Iterator[None]:
    """Raise `ImageError` for whatever Pillow raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large images, which have a limit, and odd metadata
            yield
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:  # Pillow's own, larger limit
        raise ImageError(
            f"{name} is enormous; at most {MAX_PIXELS // 1_000_000} megapixels are allowed. Make it smaller."
        ) from error
    except PermissionError as error:
        raise ImageError(f"{name} cannot be read ({error.strerror}).") from error
    except UnidentifiedImageError as error:
        advice = (heic_advice([content]) if content is not None else "") or "Give a JPEG, PNG or WebP file."
        raise ImageError(f"{name} is not an image that can be read. {advice}") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ImageError(f"{name} is damaged or cut off and cannot be read ({reason}).") from error


def _read(image: Image.Image, name: str) -> ReadImage:
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(
            f"{name} is {image.width} x {image.height}; at most {MAX_PIXELS // 1_000_000} megapixels are allowed. "
            "Make it smaller."
        )
    image.load()  # a TIFF is turned by it
    turned, is_readable = exif.upright(image)
    notes = [] if is_readable else [f"The EXIF of {name} is damaged; the image is explained as it is stored."]
    if image.format in SERIES and getattr(image, "is_animated", False):
        notes.append(f"{name} has several images; the first one is explained.")
    if turned.mode[:1] in ("I", "F"):
        grey, stretched = to_8_bits(np.asarray(turned))
        if stretched:
            notes.append(f"The values of {name} do not fill their range and were stretched: {stretched}.")
        return ReadImage(np.repeat(grey[..., None], 3, axis=2), tuple(notes))
    return ReadImage(_pixels(_on_white(_in_srgb(turned))), tuple(notes))


def _pixels(image: Image.Image) -> Bytes:
    """RGB (H, W, 3), in strips: at once, Pillow and NumPy need the memory of several copies."""
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, _STRIP):
        bottom = min(top + _STRIP, image.height)
        rgb[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return rgb


def heic_advice(contents: Sequence[Path | IO[bytes]]) -> str:
    """What to install if one of the files is a HEIC, which only the extra `heic` reads; otherwise ''."""
    if _take_heic() or not any(_is_heic(content) for content in contents):
        return ""
    return "HEIC needs a reader: pip install 'whycam[heic]'."


def _is_heic(content: Path | IO[bytes]) -> bool:
    """By its suffix, or by its first bytes: an exported HEIC is often called .jpg."""
    if isinstance(content, Path):
        if content.suffix.lower() in (".heic", ".heif"):
            return True
        try:
            with content.open("rb") as file:
                return _is_heic(file)
        except OSError:
            return False
    content.seek(0)
    start = content.read(12)
    return start[4:8] == b"ftyp" and start[8:] in _HEIC_BRANDS


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


def exif_of(path: Path) -> bytes | None:
    """The image's EXIF for a copy that is upright; empty if there is none, None if it cannot be kept."""
    _take_heic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_formats()) as image:
                return exif.kept_exif(image)
    except Exception:  # noqa: BLE001 - as above; `open_image` says what is wrong with the file
        return None


def write_image(path: Path, rgb: Bytes, metadata: bytes = b"", *, is_result: bool = False) -> None:
    """Write RGB (H, W, 3) in the format of the suffix, with this EXIF; the file gets its name when complete.

    A result gets whycam's mark. Raises `ImageError`.
    """
    part = path.with_name(path.name + ".part")
    kind = {".png": "PNG", ".webp": "WEBP"}.get(path.suffix.lower(), "JPEG")
    options = {
        "quality": QUALITY,
        **({"subsampling": 0} if kind == "JPEG" else {}),
        **({"exif": metadata} if metadata else {}),
        **(image_options(kind) if is_result else {}),
    }
    try:
        image = Image.fromarray(rgb)
        del rgb  # a copy was made; of a large image each has hundreds of megabytes
        image.save(part, kind, **options)
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
    except Exception:  # noqa: BLE001 - an unreadable profile raises nearly any error: the colours stay unchanged
        return image
    return turned if turned is not None else image


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
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

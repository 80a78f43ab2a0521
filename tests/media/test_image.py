"""A single image: read upright, with the heat on the spot and its colours kept."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.support.films import media_samples
from tests.support.models import tiny_models
from whycam.stream.inference.explainer import Explainer
from whycam.stream.media import image as images
from whycam.stream.media.image import ImageError, exif_of, open_image, read_image, write_image
from whycam.stream.offline.explain import explain_image
from whycam.stream.video.planes import Bytes

SIZE = (96, 64)


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(tiny_models.bright_spot(tmp_path_factory.mktemp("models") / "spot.onnx"), threads=1)


def save(path: Path, rgb: Bytes, orientation: int | None = None) -> Path:
    """An image file; `orientation` is a JPEG's EXIF orientation."""
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    content = data.tobytes()
    if orientation is not None:
        entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
        exif = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
        content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_an_image_file_is_read_in_its_colours(tmp_path: Path, suffix: str) -> None:
    rgb = read_image(save(tmp_path / f"cup{suffix}", media_samples.spot(SIZE)))
    x, y = media_samples.place(SIZE).middle
    assert rgb.shape == (64, 96, 3)
    assert rgb.dtype == np.uint8
    assert np.abs(rgb[y, x].astype(int) - media_samples.RED).max() <= 8
    assert np.abs(rgb[2, 2].astype(int) - media_samples.GREY).max() <= 4


def test_a_path_may_be_a_string(tmp_path: Path) -> None:
    path = save(tmp_path / "Tasse Käse.png", media_samples.spot(SIZE))
    assert np.array_equal(read_image(str(path)), media_samples.spot(SIZE))


@pytest.mark.parametrize(
    ("orientation", "turns"),
    [(1, 0), (3, 2), (6, 3), (8, 1)],  # number of counterclockwise turns by np.rot90
)
def test_a_photograph_is_read_upright(tmp_path: Path, orientation: int, turns: int) -> None:
    stored = media_samples.spot(SIZE)
    rgb = read_image(save(tmp_path / "cup.jpg", stored, orientation))
    upright = np.rot90(stored, turns)
    assert rgb.shape == upright.shape
    assert np.abs(rgb.astype(int) - upright).mean() < 2


def test_grey_images_are_read_as_rgb(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((9, 7), 80, np.uint8))
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((9, 7), 80 * 256 + 7, np.uint16))
    for name in ("grey.png", "deep.png"):
        assert np.array_equal(read_image(tmp_path / name), np.full((9, 7, 3), 80, np.uint8))


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparent_images_are_composited_on_white(tmp_path: Path, suffix: str) -> None:
    rgba = np.full((8, 8, 4), 80, np.uint8)
    rgba[:, :4, 3], rgba[:, 4:, 3] = 0, 255
    path = tmp_path / f"cup{suffix}"
    Image.fromarray(rgba).save(path, lossless=True)
    rgb = read_image(path)
    assert (rgb[:, :4] == 255).all()
    assert (rgb[:, 4:] == 80).all()


def test_heic_is_read_upright(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    stored = media_samples.spot((128, 96))
    exif = Image.Exif()
    exif[0x0112] = 6
    pillow_heif.from_pillow(Image.fromarray(stored)).save(tmp_path / "IMG_1.HEIC", exif=exif.tobytes(), quality=95)
    rgb = read_image(tmp_path / "IMG_1.HEIC")
    upright = np.rot90(stored, 3)
    assert rgb.shape == upright.shape
    assert np.abs(rgb.astype(int) - upright).mean() < 3


def test_the_error_for_a_heic_says_which_reader_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_take_heic", lambda: False)
    monkeypatch.setattr(images, "FORMATS", ("JPEG",))
    content = b"\0\0\0\x18ftypheic"
    for name in ("IMG_1.HEIC", "exported.jpg"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=rf"{name} is not .* pip install 'whycam\[heic\]'"):
            read_image(tmp_path / name)
    with pytest.raises(ImageError, match=r"The picture is not .* pip install 'whycam\[heic\]'"):
        images.decode_image(io.BytesIO(content), "The picture")


def test_a_wide_colour_space_becomes_srgb(tmp_path: Path) -> None:
    # A profile with swapped primaries differs clearly from none.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")
    rgb = media_samples.spot(SIZE)
    for name, icc in (("plain", srgb), ("swapped", swapped), ("broken", b"nonsense"), ("lab", profile)):
        Image.fromarray(rgb).save(tmp_path / f"{name}.png", icc_profile=icc)
    x, y = media_samples.place(SIZE).middle
    assert np.abs(read_image(tmp_path / "plain.png").astype(int) - rgb).max() <= 2
    assert read_image(tmp_path / "swapped.png")[y, x].argmax() == 2
    for name in ("broken", "lab"):
        assert np.array_equal(read_image(tmp_path / f"{name}.png"), rgb)


def test_a_mirrored_photograph_is_read_upright(tmp_path: Path) -> None:
    rgb = read_image(save(tmp_path / "selfie.jpg", media_samples.spot(SIZE), 2))
    assert np.abs(rgb.astype(int) - media_samples.spot(SIZE)[:, ::-1]).mean() < 2


def test_an_image_of_too_many_pixels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "cup.png", media_samples.spot(SIZE))
    monkeypatch.setattr(images, "MAX_PIXELS", 96 * 64 - 1)
    with pytest.raises(ImageError, match=r"cup\.png is 96 x 64; at most"):
        read_image(path)


def test_an_image_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    for name in ("cup.jpg", "cup.PNG", "cup.webp"):
        write_image(tmp_path / name, media_samples.spot(SIZE))
        x, y = media_samples.place(SIZE).middle
        assert np.abs(read_image(tmp_path / name)[y, x].astype(int) - media_samples.RED).max() <= 8
    with pytest.raises(ImageError, match="cannot be written"):
        write_image(tmp_path / "missing" / "cup.jpg", media_samples.spot(SIZE))
    assert not list(tmp_path.glob("*.part"))


def test_metadata_is_kept_but_for_the_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Phone"
    Image.fromarray(media_samples.spot(SIZE)).save(tmp_path / "cup.jpg", exif=exif)
    write_image(tmp_path / "out.jpg", media_samples.spot(SIZE), exif_of(tmp_path / "cup.jpg") or b"")
    with Image.open(tmp_path / "out.jpg") as image:
        kept = dict(image.getexif())
    assert kept == {0x010F: "Phone", 0x0112: 1}  # upright
    assert exif_of(save(tmp_path / "none.png", media_samples.spot(SIZE))) == b""


def test_an_array_is_returned_unchanged() -> None:
    rgb = media_samples.spot(SIZE)
    assert read_image(rgb) is rgb


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_an_array_that_is_no_image_is_refused(array: Bytes) -> None:
    with pytest.raises(ImageError, match=r"An image is uint8 RGB \(H, W, 3\), this is (uint8|float32) \(4, 4"):
        read_image(array)


@pytest.mark.parametrize("size", [0, 4])
def test_an_array_without_pixels_is_refused(size: int) -> None:
    with pytest.raises(ImageError, match="An image is uint8 RGB"):
        read_image(np.zeros((0, size, 3), np.uint8))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"There is no file .*cup\.jpg\."):
        read_image(tmp_path / "cup.jpg")


@pytest.mark.parametrize("content", [b"\0", b"not an image", b"\xff\xd8\xff\xe0" + bytes(50), b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cup.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"cup\.jpg is not an image that can be read\. Give a JPEG"):
        read_image(tmp_path / "cup.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_error_says_that_an_image_is_cut_off(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"cup{suffix}", np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ImageError, match=rf"^cup\{suffix} is damaged or cut off and cannot be read \(.+\)\.$"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_of_several_images_the_first_is_read_and_that_is_said(tmp_path: Path, suffix: str) -> None:
    colours = (media_samples.RED, media_samples.BLUE)
    red, blue = (Image.fromarray(media_samples.spot(SIZE, colour=each)) for each in colours)
    red.save(tmp_path / f"one{suffix}")
    red.save(tmp_path / f"two{suffix}", save_all=True, append_images=[blue])
    one, two = open_image(tmp_path / f"one{suffix}"), open_image(tmp_path / f"two{suffix}")
    assert one.notes == ()
    assert two.notes == (f"two{suffix} has several images; the first one is explained.",)
    assert np.abs(one.rgb.astype(int) - two.rgb).mean() < 3


def test_the_error_says_that_an_image_is_empty_or_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cup.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match=r"cup\.jpg is empty"):
        read_image(tmp_path / "cup.jpg")
    (tmp_path / "cup.jpg").write_bytes(b"an image")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageError, match=r"^cup\.jpg cannot be read \(Permission denied\)\.$"):
        read_image(tmp_path / "cup.jpg")


def test_an_image_of_enormous_size_by_its_header_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "bomb.png", media_samples.spot(SIZE))
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 1 << 20, 1 << 20)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))  # the header's checksum must be right
    path.write_bytes(bytes(data))
    with pytest.raises(ImageError, match=r"bomb\.png is enormous; at most 128 megapixels"):
        read_image(path)


@pytest.mark.parametrize("size", [(96, 64), (97, 65), (64, 97), (1280, 720)])
@pytest.mark.parametrize(
    ("colour", "name"), [(media_samples.RED, "red"), (media_samples.GREEN, "green"), (media_samples.BLUE, "blue")]
)
def test_the_spot_is_named_and_painted(
    spots: Explainer, size: tuple[int, int], colour: tuple[int, int, int], name: str
) -> None:
    image = media_samples.spot(size, colour=colour)
    maps, rgb, painted = explain_image(image, spots, [-1, -2])
    assert maps[0].label == name
    assert maps[0].score > 0.5
    assert len(maps) == 2
    assert rgb is image
    assert painted.shape == image.shape
    assert painted.dtype == np.uint8
    changed = np.abs(painted.astype(int) - image).sum(axis=2)
    x, y = media_samples.place(size).middle
    assert changed[y, x] > 60
    changed[: size[1] // 3] = 0  # the label
    row, column = np.unravel_index(changed.argmax(), changed.shape)
    where = media_samples.place(size)
    assert where.x - size[0] / 8 <= int(column) <= where.x + where.side + size[0] / 8
    assert where.y - size[1] / 8 <= int(row) <= where.y + where.side + size[1] / 8


@pytest.mark.parametrize("size", [(96, 64), (1280, 720)])
def test_a_place_without_heat_keeps_its_colours(spots: Explainer, size: tuple[int, int]) -> None:
    image = media_samples.spot(size)
    image[size[1] // 3 : size[1] // 2, size[0] * 3 // 4 :] = (90, 118, 104)  # a little green
    _, _, painted = explain_image(image, spots, [0])
    y, x = size[1] * 5 // 12, size[0] * 7 // 8
    assert np.abs(painted[y, x].astype(int) - image[y, x]).max() <= 4
    assert np.abs(painted[-3, -3].astype(int) - media_samples.GREY).max() <= 3


def test_an_image_may_be_a_view_of_another_one(spots: Explainer) -> None:
    mirrored = media_samples.spot(SIZE)[:, ::-1]
    maps, _, painted = explain_image(mirrored, spots, [-1])
    plain, _, expected = explain_image(mirrored.copy(), spots, [-1])
    assert np.array_equal(painted, expected)
    assert np.array_equal(maps[0].grid, plain[0].grid)


def test_the_image_itself_is_left_alone(spots: Explainer) -> None:
    image = media_samples.spot(SIZE)
    explain_image(image, spots, [-1])
    assert np.array_equal(image, media_samples.spot(SIZE))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (400, 3)])
def test_images_of_any_size_can_be_explained(spots: Explainer, size: tuple[int, int]) -> None:
    image = media_samples.noise(size)
    _, _, painted = explain_image(image, spots, [-1])
    assert painted.shape == image.shape

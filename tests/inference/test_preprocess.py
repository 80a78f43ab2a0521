"""The network gets the right part of a frame in the right colours."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.films import media_samples
from whycam.models.contract import Fitting
from whycam.stream.inference.preprocess import Fit, Rectangle
from whycam.stream.video.planes import Bytes

BARS = [(235, 235, 235), (225, 220, 20), (20, 215, 220), (25, 210, 30), (215, 25, 220), (220, 30, 25), (20, 25, 220)]
FITTINGS = pytest.mark.parametrize("kind", ["stretch", "crop"])


def bars(size: tuple[int, int]) -> Bytes:
    """A test card (H, W, 3): seven vertical bars."""
    width, height = size
    columns = np.array(BARS, np.uint8)[np.arange(width) * len(BARS) // width]
    return np.broadcast_to(columns, (height, width, 3)).copy()


def middles(image: Bytes) -> Bytes:
    """The colour in the middle of each of the seven bars, in the middle row."""
    height, width = image.shape[:2]
    return image[height // 2, [int((i + 0.5) * width / len(BARS)) for i in range(len(BARS))]]


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("size", [(320, 240), (321, 239), (96, 160)])
def test_a_test_card_is_shown_in_its_colours(
    matrix: media_samples.Matrix, full_range: bool, size: tuple[int, int]
) -> None:
    frame = media_samples.frame(bars(size), matrix=matrix, full_range=full_range)
    image = Fit("stretch", (56, 56)).image(frame)
    assert image.shape == (56, 56, 3)
    assert np.abs(middles(image).astype(int) - BARS).max() <= 3


@FITTINGS
def test_the_full_range_frames_of_a_camera_are_shown_in_their_colours(kind: Fitting) -> None:
    frame = media_samples.frame(bars((320, 240)), full_range=True, pix_fmt="yuvj420p")
    if kind == "crop":
        frame = media_samples.frame(
            np.pad(bars((240, 240)), ((0, 0), (40, 40), (0, 0))), full_range=True, pix_fmt="yuvj420p"
        )
    assert np.abs(middles(Fit(kind, (56, 56)).image(frame)).astype(int) - BARS).max() <= 3


def test_an_image_of_the_networks_size_is_unchanged() -> None:
    rgb = media_samples.noise((32, 32))
    assert np.array_equal(Fit("stretch", (32, 32)).image(av.VideoFrame.from_ndarray(rgb, "rgb24")), rgb)


@FITTINGS
@pytest.mark.parametrize("size", [(320, 240), (241, 321), (90, 90), (20, 300)])
def test_planes_and_rgb_give_the_same_image(kind: Fitting, size: tuple[int, int]) -> None:
    down, right = np.mgrid[0 : size[1], 0 : size[0]]
    ramps = [200 * right / size[0], 30 + 200 * down / size[1], 220 - 100 * (right / size[0] + down / size[1])]
    smooth = np.stack(ramps, axis=-1).astype(np.uint8)
    fit = Fit(kind, (32, 32))
    from_planes = fit.image(media_samples.frame(smooth))
    from_rgb = fit.image(av.VideoFrame.from_ndarray(smooth, "rgb24"))
    assert np.abs(from_planes.astype(int) - from_rgb).max() <= 6
    assert np.abs((from_planes.astype(int) - from_rgb).mean()) <= 0.7


def test_stretch_shows_the_whole_frame() -> None:
    assert Fit("stretch", (224, 224)).rectangle(641, 479) == Rectangle(0, 0, 641, 479)


@pytest.mark.parametrize(
    ("frame", "network", "seen"),
    [
        ((640, 480), (224, 224), Rectangle(80, 0, 480, 480)),
        ((480, 640), (224, 224), Rectangle(0, 80, 480, 480)),
        ((1080, 1920), (224, 224), Rectangle(0, 420, 1080, 1080)),
        ((500, 500), (224, 224), Rectangle(0, 0, 500, 500)),
        ((640, 480), (100, 200), Rectangle(0, 80, 640, 320)),
        ((641, 479), (224, 224), Rectangle(80, 0, 479, 479)),
    ],
)
def test_crop_shows_the_largest_middle_part_of_the_networks_proportions(
    frame: tuple[int, int], network: tuple[int, int], seen: Rectangle
) -> None:
    assert Fit("crop", network).rectangle(*frame) == seen


@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from([(32, 32), (224, 224), (192, 256), (300, 100)]))
@settings(deadline=None, max_examples=300)
def test_the_visible_part_is_within_a_frame_of_any_size(width: int, height: int, network: tuple[int, int]) -> None:
    x, y, seen_width, seen_height = Fit("crop", network).rectangle(width, height)
    assert x % 2 == y % 2 == 0
    assert x >= 0
    assert y >= 0
    assert 0 < seen_width <= width - x
    assert 0 < seen_height <= height - y
    assert seen_width == width or seen_height == height
    assert abs((width - seen_width) / 2 - x) <= 1.5
    assert abs((height - seen_height) / 2 - y) <= 1.5
    rows, columns = network
    assert abs(seen_width * rows - seen_height * columns) <= max(network)


@pytest.mark.parametrize("size", [(160, 96), (161, 97), (96, 160)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "rgb24"])
def test_crop_shows_nothing_but_the_middle(size: tuple[int, int], pix_fmt: str) -> None:
    fit = Fit("crop", (32, 32))
    x, y, width, height = fit.rectangle(*size)
    rgb = np.full((size[1], size[0], 3), media_samples.RED, np.uint8)
    rgb[y : y + height, x : x + width] = media_samples.GREEN
    frame = media_samples.frame(rgb) if pix_fmt == "yuv420p" else av.VideoFrame.from_ndarray(rgb, "rgb24")
    image = fit.image(frame)
    assert np.abs(image[:, 1:-1][1:-1].astype(int) - media_samples.GREEN).max() <= 3


@FITTINGS
def test_the_image_is_not_mirrored_or_rotated(kind: Fitting) -> None:
    rgb = np.full((96, 96, 3), media_samples.GREY, np.uint8)
    rgb[72:84, 48:60] = media_samples.BLUE
    image = Fit(kind, (32, 32)).image(media_samples.frame(rgb))
    blue = image[..., 2].astype(int) - image[..., 0]
    rows, columns = np.nonzero(blue > 100)
    assert (rows.mean(), columns.mean()) == pytest.approx((25.5, 17.5), abs=0.6)


def test_fine_detail_is_averaged_without_aliasing() -> None:
    lines = np.zeros((240, 320, 3), np.uint8)
    lines[:, ::2] = 200
    image = Fit("stretch", (32, 32)).image(media_samples.frame(lines))
    assert np.abs(image.astype(int) - 100).max() <= 3


@pytest.mark.parametrize("level", [0, 37, 128, 201, 255])
def test_shrinking_keeps_the_brightness(level: int) -> None:
    flat = np.full((240, 320, 3), level, np.uint8)
    assert np.abs(Fit("stretch", (224, 224)).image(media_samples.frame(flat)).astype(int) - level).max() <= 1
    image = Fit("stretch", (224, 224)).image(av.VideoFrame.from_ndarray(flat, "rgb24"))
    assert np.abs(image.astype(int) - level).max() <= 1


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "rgb24"])
def test_shrinking_keeps_the_brightness_of_detail(pix_fmt: str) -> None:
    rgb = media_samples.noise((320, 240)) // 2 + 60
    frame = media_samples.frame(rgb) if pix_fmt == "yuv420p" else av.VideoFrame.from_ndarray(rgb, "rgb24")
    assert abs(Fit("stretch", (32, 32)).image(frame).mean() - rgb.mean()) <= 0.3


def test_the_frame_itself_is_not_changed() -> None:
    frame = media_samples.frame(media_samples.spot((64, 48)))
    before = media_samples.pixels(frame)
    for kind in ("stretch", "crop"):
        Fit(kind, (32, 32)).image(frame)
    assert all(np.array_equal(now, was) for now, was in zip(media_samples.pixels(frame), before, strict=True))

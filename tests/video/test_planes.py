"""The planes of a frame, and the colours of their values, against the standards' tables."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from tests.support.films import media_samples
from whycam.stream.video.planes import Colour, planes, rgb_of

MATRICES = pytest.mark.parametrize("matrix", ["bt601", "bt709"])
RANGES = pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])


@MATRICES
@RANGES
def test_colours_become_the_numbers_of_the_standard(matrix: media_samples.Matrix, full_range: bool) -> None:
    rgb = media_samples.noise((1, 4096))[:, 0]
    expected = np.clip(media_samples.yuv_of(rgb, matrix, full_range=full_range), 0, 255)
    assert np.abs(Colour(matrix, full_range).from_rgb(rgb) - expected).max() <= 0.51


@MATRICES
@RANGES
def test_colours_become_the_numbers_that_swscale_gives(matrix: media_samples.Matrix, full_range: bool) -> None:
    blocks = media_samples.noise((16, 16)).repeat(8, axis=0).repeat(8, axis=1)
    by_swscale = av.VideoFrame.from_ndarray(blocks, "rgb24").reformat(
        format="yuv444p",
        dst_colorspace=Colorspace.ITU601 if matrix == "bt601" else Colorspace.ITU709,
        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
    )
    expected = np.stack(media_samples.pixels(by_swscale), axis=-1)
    found = Colour(matrix, full_range).from_rgb(blocks.reshape(-1, 3)).reshape(expected.shape)
    assert np.abs(found.astype(int) - expected).max() <= 2


@MATRICES
@RANGES
def test_numbers_become_the_colours_of_the_standard(matrix: media_samples.Matrix, full_range: bool) -> None:
    yuv = media_samples.noise((64, 64))
    expected = np.clip(media_samples.rgb_of(yuv, matrix, full_range=full_range), 0, 255)
    assert np.abs(Colour(matrix, full_range).to_rgb(yuv) - expected).max() <= 0.75


@MATRICES
@RANGES
def test_a_colour_survives_the_round_trip(matrix: media_samples.Matrix, full_range: bool) -> None:
    rgb = media_samples.noise((64, 64))
    colour = Colour(matrix, full_range)
    back = colour.to_rgb(colour.from_rgb(rgb.reshape(-1, 3)).reshape(rgb.shape))
    assert np.abs(back.astype(int) - rgb).max() <= 3


@MATRICES
@RANGES
@pytest.mark.parametrize("size", [(64, 48), (63, 47), (48, 64)])
def test_a_frame_is_converted_with_its_own_matrix_and_range(
    matrix: media_samples.Matrix, full_range: bool, size: tuple[int, int]
) -> None:
    picture = media_samples.spot(size)
    seen = rgb_of(media_samples.frame(picture, matrix=matrix, full_range=full_range))
    x, y = media_samples.place(size).middle
    assert seen.shape == picture.shape
    assert np.abs(seen[y, x].astype(int) - media_samples.RED).max() <= 3
    assert np.abs(seen[2, 2].astype(int) - media_samples.GREY).max() <= 3


@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ((640, 480), "bt601"),
        ((1278, 718), "bt601"),
        ((480, 640), "bt601"),
        ((1280, 720), "bt709"),
        ((720, 1280), "bt709"),
        ((1920, 1080), "bt709"),
    ],
)
def test_a_frame_without_a_matrix_is_bt601_below_720_lines_and_bt709_from_there(
    size: tuple[int, int], matrix: media_samples.Matrix
) -> None:
    frame = av.VideoFrame(*size, "yuv420p")
    frame.colorspace, frame.color_range = 2, ColorRange.UNSPECIFIED  # of ITU-T H.273
    assert Colour.of(frame) == Colour(matrix, full_range=False)


@pytest.mark.parametrize(
    ("number", "matrix"), [(1, "bt709"), (5, "bt601"), (6, "bt601"), (9, "bt2020"), (10, "bt2020")]
)
def test_the_matrix_of_a_frame_applies_at_every_size(number: int, matrix: str) -> None:
    for size in ((64, 48), (1280, 720)):
        frame = av.VideoFrame(*size, "yuv420p")
        frame.colorspace, frame.color_range = number, ColorRange.JPEG
        assert (Colour.of(frame).matrix, Colour.of(frame).full_range) == (matrix, True)


def test_the_format_yuvj420p_means_full_range() -> None:
    assert Colour.of(av.VideoFrame(64, 48, "yuvj420p")).full_range


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (50, 34), (1, 1)])
def test_writing_to_the_planes_changes_the_frame(size: tuple[int, int]) -> None:
    width, height = size
    frame = media_samples.frame(media_samples.spot((64, 48)) if size == (64, 48) else media_samples.noise(size))
    before = media_samples.pixels(frame)
    y, u, v = planes(frame)
    half = ((height + 1) // 2, (width + 1) // 2)
    assert (y.shape, u.shape, v.shape) == ((height, width), half, half)
    assert all(np.array_equal(plane, was) for plane, was in zip((y, u, v), before, strict=True))
    y[-1, -1], u[0, -1], v[-1, 0] = 7, 8, 9
    after = media_samples.pixels(frame)
    assert (after[0][-1, -1], after[1][0, -1], after[2][-1, 0]) == (7, 8, 9)
    assert sum(int((now != was).sum()) for now, was in zip(after, before, strict=True)) <= 3


def test_planes_of_another_format_are_refused() -> None:
    with pytest.raises(ValueError, match="this one is rgb24"):
        planes(av.VideoFrame(16, 16, "rgb24"))

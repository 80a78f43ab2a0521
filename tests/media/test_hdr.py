"""High dynamic range: PQ and HLG films keep their look, and their highlights stay distinct."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from tests.support.films import media_samples
from tests.support.films.film_files import copy
from whycam.stream.media.film_reader import open_film, read_film
from whycam.stream.media.frames import hdr
from whycam.stream.media.frames.hdr import Transfer
from whycam.stream.video.planes import Colour

# An independent reference: the constants of SMPTE ST 2084 and ITU-R BT.2100, in the encoding direction.
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_BT709_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
_WEIGHTS = np.array([0.2627, 0.6780, 0.0593])
NUMBERS: dict[Transfer, int] = {"pq": 16, "hlg": 18}  # ITU-T H.273


def encoded(nits: NDArray[np.float64], transfer: Transfer) -> NDArray[np.float64]:
    """R'G'B' in 0…1 of BT.2020 light in cd/m²."""
    if transfer == "pq":
        power = np.clip(nits / 10_000, 0, 1) ** _M1
        return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)
    relative = nits / 1000
    luma = np.maximum(relative @ _WEIGHTS, 1e-9)[..., None]
    scene = relative * luma ** (1 / 1.2 - 1)
    a = 0.17883277
    return np.asarray(
        np.where(
            scene <= 1 / 12,
            np.sqrt(3 * np.maximum(scene, 0)),
            a * np.log(np.maximum(12 * scene - (1 - 4 * a), 1e-9)) + 0.5 - a * np.log(4 * a),
        )
    )


def write(path: Path, rgb709: NDArray[np.float64], transfer: Transfer) -> Path:
    """A film of light (H, W, 3) in units of SDR white, as a phone writes it: 10-bit HEVC, BT.2020."""
    signal = np.clip(encoded(rgb709 @ _BT709_TO_2020.T * 203, transfer), 0, 1)
    y = signal @ _WEIGHTS
    u, v = (signal[..., 2] - y) / 1.8814, (signal[..., 0] - y) / 1.4746
    height, width = y.shape
    frame = av.VideoFrame(width, height, "yuv420p10le")
    quarter = [c.reshape(height // 2, 2, width // 2, 2).mean((1, 3)) * 896 + 512 for c in (u, v)]
    for plane, values in zip(frame.planes, (y * 876 + 64, *quarter), strict=True):
        lines = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        lines[:, : plane.width] = np.rint(values)
        plane.update(lines.tobytes())
    with av.open(path, "w") as file:
        stream = file.add_stream("libx265", 30, options={"crf": "4", "x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        for thing in (frame, stream.codec_context):
            thing.colorspace, thing.color_range, thing.color_primaries, thing.color_trc = 9, 1, 9, NUMBERS[transfer]
        for number in range(3):
            frame.pts, frame.time_base = number, Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def first(path: Path) -> av.VideoFrame:
    with open_film(path) as opened:
        return next(item for item in read_film(opened) if isinstance(item, av.VideoFrame))


def rgb(frame: av.VideoFrame) -> NDArray[np.float64]:
    luma, u, v = (plane.astype(float) for plane in media_samples.pixels(frame))
    chroma = [np.repeat(np.repeat(c, 2, 0), 2, 1) for c in (u, v)]
    return np.clip(media_samples.rgb_of(np.stack([luma, *chroma], -1), "bt709"), 0, 255)


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_a_photograph_filmed_in_hdr_looks_as_it_did(tmp_path: Path, transfer: Transfer) -> None:
    photograph = skimage.data.coffee()[60:380, 100:500]
    linear = (photograph / 255.0) ** 2.4
    frame = first(write(tmp_path / "coffee.mov", linear, transfer))
    assert frame.format.name == "yuv420p"
    assert Colour.of(frame) == Colour("bt709", full_range=False)
    found = rgb(frame)
    dim = linear.max(-1) < hdr.KNEE
    error = np.abs(found - photograph)[dim]
    assert error.mean() < 5  # subsampled chroma, and the encoder
    assert np.abs((found - photograph)[dim].mean(0)).max() < 2.5
    colourful = np.ptp(found, axis=-1).mean() / np.ptp(photograph.astype(float), axis=-1).mean()
    assert 0.85 < colourful < 1.05  # unmapped HDR looks grey: 0.3


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_greys_stay_grey_and_highlights_distinct(tmp_path: Path, transfer: Transfer) -> None:
    levels = (0.0, 0.02, 0.1, 0.2, 0.32, 0.6, 1.0, 2.0, 4.0)
    patches = np.repeat(np.repeat(np.array(levels)[None, :, None], 32, 0), 32, 1).repeat(3, 2)
    found = rgb(first(write(tmp_path / "greys.mov", patches, transfer)))[16, 16::32]
    assert np.ptp(found, axis=1).max() <= 3
    greys = found.mean(1)
    for level, grey in zip(levels, greys, strict=True):
        if level <= hdr.KNEE:
            assert grey == pytest.approx(255 * level ** (1 / 2.4), abs=3)
    assert (np.diff(greys) > 4).all()
    assert 195 < greys[6] < 240  # SDR white leaves room for brighter light
    assert greys[-1] > 248


def test_a_mapped_film_is_labelled_as_sdr(tmp_path: Path) -> None:
    path = write(tmp_path / "grey.mov", np.full((32, 64, 3), 0.1), "hlg")
    copied = media_samples.read(copy(path, tmp_path / "copy.mp4"))[0].frame
    assert (copied.colorspace, copied.color_trc, copied.color_primaries) == (1, 1, 1)


def test_sdr_films_are_not_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdr, "table", lambda transfer: pytest.fail("was mapped"))
    first(media_samples.write(tmp_path / "kitchen.mp4", count=2, size=(64, 48), pix_fmt="yuv420p10le"))


def test_the_roll_off_rises_from_black_to_white() -> None:
    light = np.linspace(0, hdr.PEAK / hdr.WHITE, 400)[:, None].repeat(3, 1)
    mapped = hdr.roll_off(light)[:, 0]
    assert mapped[0] == 0
    assert mapped[-1] == pytest.approx(1)
    assert (np.diff(mapped) > 0).all()
    assert np.allclose(mapped[light[:, 0] <= hdr.KNEE], light[light[:, 0] <= hdr.KNEE, 0])

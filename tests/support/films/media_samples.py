"""Media made in code: a coloured spot that moves over grey, as single frames, encoded frames and whole files.

Colours are converted to YUV and back with the standards' tables, so that tests have an independent reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.frame import PictureType
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from whycam.stream.video.codec import TIME_BASE, CodecName, EncodedFrame
from whycam.stream.video.encoder import SOFTWARE, Encoder
from whycam.stream.video.planes import Bytes

Matrix = Literal["bt601", "bt709"]
RED, GREEN, BLUE, GREY = (230, 30, 30), (30, 200, 30), (30, 30, 230), (96, 96, 96)
STEP = 3000
"""From one frame to the next at 30 frames a second, in 1/90000 s."""
RATE = 48_000
"""Of the sound, in samples a second."""

# 8-bit YUV of full-scale RGB (0…1), as printed in Poynton's 'Digital Video and HD': limited range.
_LIMITED: dict[Matrix, list[list[float]]] = {
    "bt601": [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]],
    "bt709": [[46.559, 156.629, 15.812], [-25.664, -86.336, 112.0], [112.0, -101.730, -10.270]],
}
_NUMBER: dict[Matrix, Colorspace] = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}
# The display matrix of a phone held upright (ISO/IEC 14496-12, 8.2.2.3): x' = -y, y' = x.
_RIGHT = 1 << 16
TURNS: dict[int, Sequence[int]] = {
    90: (0, _RIGHT, 0, -_RIGHT, 0, 0, 0, 0, 1 << 30),
    180: (-_RIGHT, 0, 0, 0, -_RIGHT, 0, 0, 0, 1 << 30),
    270: (0, -_RIGHT, 0, _RIGHT, 0, 0, 0, 0, 1 << 30),
    # Mirrored, as selfie cameras write it: left and right exchanged, after a turn by this number of degrees.
    -360: (-_RIGHT, 0, 0, 0, _RIGHT, 0, 0, 0, 1 << 30),
    -90: (0, _RIGHT, 0, _RIGHT, 0, 0, 0, 0, 1 << 30),
    -180: (_RIGHT, 0, 0, 0, -_RIGHT, 0, 0, 0, 1 << 30),
    -270: (0, -_RIGHT, 0, -_RIGHT, 0, 0, 0, 0, 1 << 30),
}
"""Display matrices by clockwise rotation in degrees; negative ones also mirror the picture afterwards."""


def yuv_of(rgb: NDArray[Any], matrix: Matrix = "bt601", *, full_range: bool = False) -> NDArray[np.float64]:
    """Y, U and V (…, 3) of colours (…, 3) in 0…255, not rounded."""
    table, offset = _table(matrix, full_range)
    return np.asarray(rgb, np.float64) / 255 @ table.T + offset


def rgb_of(yuv: NDArray[Any], matrix: Matrix = "bt601", *, full_range: bool = False) -> NDArray[np.float64]:
    """Colours (…, 3) of Y, U and V (…, 3), not rounded and not clipped."""
    table, offset = _table(matrix, full_range)
    return (np.asarray(yuv, np.float64) - offset) @ np.linalg.inv(table).T * 255


def _table(matrix: Matrix, full_range: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table = np.array(_LIMITED[matrix])
    if not full_range:
        return table, np.array([16.0, 128.0, 128.0])
    return table * np.array([[255 / 219], [255 / 224], [255 / 224]]), np.array([0.0, 128.0, 128.0])


def frame(
    rgb: Bytes,
    pts: int = 0,
    *,
    matrix: Matrix = "bt601",
    full_range: bool = False,
    pix_fmt: Literal["yuv420p", "yuvj420p"] = "yuv420p",
) -> av.VideoFrame:
    """An image (H, W, 3) as a frame that specifies its matrix and range; odd sizes are possible."""
    height, width = rgb.shape[:2]
    made = av.VideoFrame(width, height, pix_fmt)
    made.colorspace, made.color_range = _NUMBER[matrix], ColorRange.JPEG if full_range else ColorRange.MPEG
    made.pts, made.time_base = pts, TIME_BASE
    table, offset = _table(matrix, full_range)
    paired = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") if height % 2 or width % 2 else rgb
    # The colour of a mean is the mean of the colours.
    quarter = np.mean([paired[y::2, x::2] for y in (0, 1) for x in (0, 1)], 0)
    for number, (plane, part) in enumerate(zip(made.planes, (rgb, quarter, quarter), strict=True)):
        red, green, blue = table[number] / 255
        _fill(plane, part[..., 0] * red + part[..., 1] * green + part[..., 2] * blue + offset[number])
    return made


def _fill(plane: VideoPlane, values: NDArray[np.float64]) -> None:
    lines = np.zeros((plane.height, plane.line_size), np.uint8)
    lines[:, : plane.width] = np.clip(np.rint(values), 0, 255)
    plane.update(lines.tobytes())


def pixels(of: av.VideoFrame) -> tuple[Bytes, Bytes, Bytes]:
    """Copies of a frame's Y, U and V."""
    y, u, v = (
        np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].copy()
        for plane in of.planes
    )
    return y, u, v


def colour_at(
    of: av.VideoFrame, x: int, y: int, *, matrix: Matrix = "bt601", full_range: bool = False
) -> NDArray[np.float64]:
    """The red, green and blue of one pixel."""
    luma, u, v = pixels(of)
    yuv = np.array([luma[y, x], u[y // 2, x // 2], v[y // 2, x // 2]])
    return rgb_of(yuv, matrix, full_range=full_range)


@dataclass(frozen=True, slots=True)
class Place:
    """The square that a spot fills, in pixels."""

    x: int
    y: int
    side: int

    @property
    def middle(self) -> tuple[int, int]:
        return self.x + self.side // 2, self.y + self.side // 2


def place(size: tuple[int, int], number: int = 0) -> Place:
    """The spot in frame `number` of this width and height: it moves to and fro in the lower half."""
    width, height = size
    side = min(size) // 4
    path = width - 2 * side
    step = number * max(1, width // 32) % (2 * path)
    return Place(side // 2 + (step if step <= path else 2 * path - step), height - side - side // 2, side)


def spot(size: tuple[int, int], number: int = 0, colour: tuple[int, int, int] = RED) -> Bytes:
    """A grey image (H, W, 3) with the spot of frame `number`."""
    width, height = size
    rgb = np.full((height, width, 3), GREY, np.uint8)
    where = place(size, number)
    rgb[where.y : where.y + where.side, where.x : where.x + where.side] = colour
    return rgb


def noise(size: tuple[int, int], number: int = 0) -> Bytes:
    """An image (H, W, 3) that is hard to compress, a different one for each number."""
    width, height = size
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def encoded(
    codec: CodecName,
    count: int = 30,
    size: tuple[int, int] = (64, 48),
    *,
    first: int = 0,
    keyframes: Sequence[int] = (),
) -> list[EncodedFrame]:
    """The moving spot as a live stream: a keyframe first and at the numbers in `keyframes`."""
    encoder = Encoder(SOFTWARE[codec])
    frames = [
        encoder.encode(frame(spot(size, number), first + number * STEP), keyframe=number in keyframes)
        for number in range(count)
    ]
    assert None not in frames
    return [each for each in frames if each is not None]


def write(
    path: Path,
    *,
    count: int = 20,
    size: tuple[int, int] = (64, 48),
    pts: Sequence[int] | None = None,
    time_base: Fraction = TIME_BASE,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    full_range: bool = False,
    turn: int = 0,
    sound: str | None = None,
    sound_from: float = 0.0,
    layout: str = "mono",
    metadata: dict[str, str] | None = None,
) -> Path:
    """A film of `count` frames at `pts` (default: 30 a second); the name's suffix selects the container.

    `turn` is the clockwise rotation in degrees that a player should apply. `sound` is the sound's codec: silence, then
    a tone from half of the film on. The sound begins at `sound_from` seconds.
    """
    times = list(pts or (round(number / 30 / time_base) for number in range(count)))
    seconds = float(times[-1] * time_base) + 1 / 30
    with av.open(path, "w", options={"movie_timescale": "90000"} if path.suffix in (".mp4", ".mov") else {}) as file:
        file.metadata.update(metadata or {})
        video = file.add_stream(codec)
        assert isinstance(video, VideoStream)
        video.width, video.height = size
        video.pix_fmt = pix_fmt
        video.time_base = video.codec_context.time_base = time_base
        video.codec_context.framerate = Fraction(30)
        if turn:
            video.set_display_matrix(TURNS[turn])
        track = None if sound is None else _sound_track(file.add_stream(sound, rate=RATE), layout)
        # Sound first: files are interleaved by the muxer.
        if track is not None:
            for samples in _tone(seconds, sound_from, len(track.codec_context.layout.channels), layout):
                file.mux(track.encode(samples))
            file.mux(track.encode(None))
        for number, at in enumerate(times):
            picture = frame(spot(size, number), at, full_range=full_range)
            if number == 0:
                video.codec_context.colorspace, video.codec_context.color_range = (
                    picture.colorspace,
                    picture.color_range,
                )
            if pix_fmt not in ("yuv420p", "yuvj420p"):
                picture = picture.reformat(format=pix_fmt)
                picture.pts = at
            picture.time_base, picture.pict_type = time_base, PictureType.NONE
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
    return path


def _sound_track(stream: object, layout: str) -> AudioStream:
    assert isinstance(stream, AudioStream)
    stream.codec_context.layout = layout
    return stream


def _tone(seconds: float, begin: float, channels: int, layout: str) -> Iterator[av.AudioFrame]:
    count = 1024
    for start in range(0, int(seconds * RATE), count):
        at = np.arange(start, start + count)
        wave = np.where(at >= seconds * RATE / 2, 12_000 * np.sin(2 * np.pi * 1000 * at / RATE), 0)
        samples = av.AudioFrame.from_ndarray(wave.astype(np.int16).repeat(channels)[None], "s16", layout)
        samples.rate, samples.time_base = RATE, Fraction(1, RATE)
        samples.pts = start + round(begin * RATE)
        yield samples


def sound(path: Path) -> tuple[float, float]:
    """When the film's sound begins, and when the tone begins; in seconds."""
    with av.open(path) as file:
        frames = list(file.decode(audio=0))
    begins = [float((samples.pts or 0) * (samples.time_base or 0)) for samples in frames]
    heard = [
        begin + int(loud[0]) / RATE
        for begin, samples in zip(begins, frames, strict=True)
        if len(loud := np.flatnonzero(np.abs(_wave(samples)) > 0.1))
    ]
    return begins[0], heard[0]


def _wave(samples: av.AudioFrame) -> NDArray[np.float64]:
    """One channel in −1…1."""
    values = samples.to_ndarray()
    scale = 1 << 15 if values.dtype == np.int16 else 1
    channels = 1 if samples.format.is_planar else len(samples.layout.channels)
    return np.asarray(values[0, ::channels], np.float64) / scale


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame read from a file, and when it is shown, in seconds."""

    time: Fraction
    frame: av.VideoFrame


def read(path: Path) -> list[Shot]:
    """All frames of a film, as they are stored."""
    with av.open(path) as file:
        stream = file.streams.video[0]
        stream.thread_type = "NONE"
        shots = []
        for picture in file.decode(stream):
            assert picture.pts is not None
            assert picture.time_base is not None
            shots.append(Shot(picture.pts * picture.time_base, picture))
    return shots


def times(path: Path) -> list[int]:
    """The pts of a film's packets in display order, in 1/90000 s, without decoding."""
    with av.open(path) as file:
        return sorted(
            round(packet.pts * packet.time_base / TIME_BASE)
            for packet in file.demux(file.streams.video[0])
            if packet.pts is not None
        )

"""Films joined from pieces that each have a flash and a beep, and functions that find these in a film."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from tests.support.films import film_files, media_samples
from whycam.stream.media.film_reader import open_film, read_film
from whycam.stream.video.codec import TIME_BASE

RATE = 30
COUNT = 60
"""Frames of a piece: two seconds."""
SIGNAL = range(30, 36)
"""The frames of a piece that are white, with a tone: from one second on."""
FRAME = 1 / RATE
SIZE = (64, 48)


def piece(
    path: Path,
    begin: float = 0.0,
    *,
    count: int = COUNT,
    codec: str = "libx264",
    sound: str | None = "aac",
    rate: int = media_samples.RATE,
    layout: str = "stereo",
    size: tuple[int, int] = SIZE,
    key: int = 12,
    quality: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A film with a flash and a beep, whose clock begins at `begin` seconds."""
    with av.open(path, "w", options=options or {}) as file:
        video = file.add_stream(codec, RATE, options={} if quality is None else {"crf": str(quality)})
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.gop_size = key
        track = file.add_stream(sound, rate) if sound is not None else None
        if track is not None:
            assert isinstance(track, AudioStream)
            track.codec_context.layout = layout
            for samples in _beep(count / RATE, begin):
                file.mux(track.encode(samples))
            file.mux(track.encode(None))
        for number in range(count):
            level = 235 if number in SIGNAL else 96
            picture = media_samples.frame(np.full((size[1], size[0], 3), level, np.uint8))
            picture.pts, picture.time_base = round((begin + number / RATE) / TIME_BASE), TIME_BASE
            file.mux(video.encode(picture))
        file.mux(video.encode(None))
    return path


def _beep(seconds: float, begin: float) -> Iterator[av.AudioFrame]:
    for start in range(0, round(seconds * media_samples.RATE), 1024):
        at = np.arange(start, start + 1024)
        loud = (at >= SIGNAL.start * media_samples.RATE // RATE) & (at < SIGNAL.stop * media_samples.RATE // RATE)
        wave = np.where(loud, 12_000 * np.sin(2 * np.pi * 1000 * at / media_samples.RATE), 0).astype(np.int16)
        samples = av.AudioFrame.from_ndarray(wave.repeat(2)[None], "s16", "stereo")
        samples.rate, samples.time_base = media_samples.RATE, Fraction(1, media_samples.RATE)
        samples.pts = start + round(begin * media_samples.RATE)
        yield samples


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def read(path: Path) -> tuple[list[float], list[float], list[float]]:
    """The times of a film's frames and of its sound packets, and where its clock restarted."""
    with open_film(path) as opened:
        items = list(read_film(opened))
        times: tuple[list[float], list[float]] = [], []
        for item in items:
            stamp = item.dts if isinstance(item, av.Packet) else item.pts
            assert stamp is not None
            assert item.time_base is not None
            times[isinstance(item, av.Packet)].append(float(stamp * item.time_base))
        return *times, opened.losses.joins


def signals(path: Path) -> list[list[float]]:
    """When a film's frames become white, and when its tone begins, from the decoded streams."""
    heard = []
    with av.open(path) as file:
        seen = [picture.time for picture in file.decode(video=0) if picture.to_ndarray(format="gray").mean() > 180]
    with av.open(path) as file:
        for samples in file.decode(audio=0):
            loud = np.flatnonzero(np.abs(samples.to_ndarray()[0]) > 0.15)
            if len(loud):
                heard.append(samples.time + loud[0] / samples.rate)
    return [_begins(seen), _begins(heard)]


def _begins(times: Sequence[float]) -> list[float]:
    return [time for before, time in zip([-9.0, *times], times, strict=False) if time - before > 0.2]


def length_of_sound(path: Path) -> float:
    with av.open(path) as file:
        return sum(samples.samples / samples.rate for samples in file.decode(audio=0))


def copy(source: Path) -> Path:
    """Copy a film as `whycam process` does, without explaining it."""
    return film_files.copy(source, source.with_name(f"{source.stem}-output.mp4"))


def end_to_end(parts: Sequence[Path]) -> tuple[list[float], list[float], list[float]]:
    """The expected result of `read` for joined pieces, each shifted so that no stream overlaps the previous one."""
    seen, heard, joins = read(parts[0])
    for part in parts[1:]:
        frames, sounds, _ = read(part)
        shift = seen[-1] + FRAME - frames[0]
        if heard and sounds:
            shift = max(shift, heard[-1] + (heard[-1] - heard[-2]) - sounds[0])
        joins.append(min(frames[:1] + sounds[:1]) + shift)
        seen, heard = seen + [at + shift for at in frames], heard + [at + shift for at in sounds]
    return seen, heard, joins

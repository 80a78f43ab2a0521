"""A film breaks off only where packets are missing, and its last frame is shown as long as in the original."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.video.stream import VideoStream

from tests.support.films import media_samples
from tests.support.films.film_files import copy
from whycam.stream.media.film_reader import open_film, read_film
from whycam.stream.media.losses import Losses

MILLISECOND = Fraction(1, 1000)


def losses_of(path: Path) -> Losses:
    with open_film(path) as film:
        for _ in read_film(film):
            pass
        return film.losses


def with_duration(path: Path, seconds: int) -> Path:
    """The film with this duration in its movie header, as where another track was longer."""
    data = bytearray(path.read_bytes())
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.find(name)
        while at >= 0:
            offset = at + 4 + {b"mvhd": 16, b"tkhd": 20, b"mdhd": 16}[name]
            data[offset : offset + 4] = struct.pack(">I", seconds * 90_000)
            at = data.find(name, at + 4)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("sound", [None, "aac"])
def test_a_header_that_states_more_than_the_tracks_have_is_no_loss(tmp_path: Path, sound: str | None) -> None:
    film = with_duration(media_samples.write(tmp_path / "kitchen.mp4", count=30, sound=sound), 5)
    losses = losses_of(film)
    assert (losses.missing, losses.error) == (0, "")


def test_a_still_image_at_the_end_is_no_loss(tmp_path: Path) -> None:
    """Matroska and FLV do not store how long the last image is shown, only where the film ends."""
    film = media_samples.write(tmp_path / "slides.flv", pts=[0, 5000, 10_000], time_base=MILLISECOND, codec="flv")
    data = film.read_bytes()
    place = data.find(b"duration") + len(b"duration") + 1
    assert place > 10
    film.write_bytes(data[:place] + struct.pack(">d", 15.0) + data[place + 8 :])
    losses = losses_of(film)
    assert (losses.missing, losses.error) == (0, "")


@pytest.mark.parametrize(("suffix", "unit"), [(".mp4", 1000), (".mkv", 1000), (".avi", 30)])
def test_sound_that_is_shorter_is_no_loss(tmp_path: Path, suffix: str, unit: int) -> None:
    film = media_samples.write(
        tmp_path / f"whole{suffix}", count=60, codec="mpeg4", sound="mp3", time_base=Fraction(1, unit)
    )
    short = tmp_path / f"short{suffix}"
    with av.open(film) as source, av.open(short, "w") as target:
        tracks = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None or (packet.stream.type == "audio" and packet.dts * packet.time_base > 0.5):
                continue
            packet.stream = tracks[packet.stream.index]
            target.mux(packet)
    losses = losses_of(short)
    assert (losses.missing, losses.error) == (0, "")


def shown(path: Path, pts: Sequence[int], end: int) -> Path:
    """A film of frames at `pts` that ends at `end`, in milliseconds."""
    with av.open(path, "w", options={"movie_timescale": "90000"}) as file:
        video = file.add_stream("mpeg4")
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.time_base = video.codec_context.time_base = MILLISECOND
        for number, (at, following) in enumerate(zip(pts, [*pts[1:], end], strict=True)):
            picture = media_samples.frame(media_samples.spot((64, 48), number))
            picture.pts, picture.time_base = at, MILLISECOND
            for packet in video.encode(picture):
                packet.duration = following - at
                file.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(
    ("pts", "end"),
    [((0, 1000, 2000), 2040), ((0, 33, 3000, 6000), 6033), ((0, 40, 80), 5080), ((500, 540, 3000), 4000)],
    ids=["short", "after long ones", "long", "from half a second on"],
)
def test_the_last_frame_is_shown_as_long_as_in_the_original(
    tmp_path: Path, suffix: str, pts: tuple[int, ...], end: int
) -> None:
    made = copy(shown(tmp_path / f"kitchen{suffix}", pts, end), tmp_path / "copy.mp4")
    with av.open(made) as file:
        video = file.streams.video[0]
        assert video.duration is not None
        assert video.time_base is not None
        assert float(video.duration * video.time_base) == pytest.approx((end - pts[0]) / 1000, abs=0.002)
    assert [round(shot.time * 1000) for shot in media_samples.read(made)] == list(pts)

"""Sound that changes between the pieces of a film: all of it in one track, in sync with the video."""

from __future__ import annotations

import gc
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import film_files, media_samples
from tests.support.films.joined_films import COUNT, FRAME, copy, joined, length_of_sound, piece, signals
from whycam.stream.media.film_reader import open_film
from whycam.stream.media.film_writer import FilmWriter
from whycam.stream.media.sound import Coding, Resampler

FORMS = [(44_100, "mono"), (48_000, "mono"), (32_000, "stereo"), (44_100, "5.1")]


@pytest.mark.parametrize(
    ("suffix", "codec", "sound", "rate", "layout"),
    [
        *((".ts", "libx264", "aac", *form) for form in FORMS),
        *((".mpg", "mpeg2video", "mp2", *form) for form in FORMS if form[1] != "5.1"),  # which has two channels at most
    ],
)
def test_pieces_may_differ_in_their_sound(
    tmp_path: Path, suffix: str, codec: str, sound: str, rate: int, layout: str
) -> None:
    plain = piece(tmp_path / f"a{suffix}", codec=codec, sound=sound)
    other = piece(tmp_path / f"b{suffix}", codec=codec, sound=sound, rate=rate, layout=layout)
    written = copy(joined(tmp_path / f"joined{suffix}", plain, other, plain))
    assert len(media_samples.read(written)) == 3 * COUNT
    seen, heard = signals(written)
    # Until the next stored time stamp, FFmpeg counts packets of the first piece's duration.
    assert heard == pytest.approx(seen, abs=1.5 * FRAME)
    assert length_of_sound(written) == pytest.approx(3 * length_of_sound(plain), abs=0.15)
    with av.open(written) as file:
        forms = {(samples.sample_rate, samples.layout.name) for samples in file.decode(audio=0)}
    assert len(forms) == 1


def test_the_copied_sound_of_the_other_pieces_is_unchanged(tmp_path: Path) -> None:
    plain, other = piece(tmp_path / "a.ts"), piece(tmp_path / "b.ts", rate=44_100, layout="mono")

    def packets(path: Path) -> list[bytes]:
        with av.open(path) as file:
            return [bytes(packet) for packet in file.demux(audio=0) if packet.size]

    single = packets(copy(plain))
    made = packets(copy(joined(tmp_path / "joined.ts", plain, other, plain)))
    assert made[: len(single)] == single
    assert made[-len(single) :] == single
    # The other piece's two seconds, in packets of the same duration.
    assert len(made) - 2 * len(single) == pytest.approx(2 * media_samples.RATE / 1024, abs=3)


@pytest.mark.parametrize(("rate", "layout"), [(media_samples.RATE, "stereo"), *FORMS])
def test_the_header_of_a_packet_is_read_and_made(tmp_path: Path, rate: int, layout: str) -> None:
    path = piece(tmp_path / "a.ts", rate=rate, layout=layout)
    with open_film(path) as opened:
        packets = [item for item in opened.read() if isinstance(item, av.Packet)]
        codings = {Coding.of(packet) for packet in packets}
        assert codings == {Coding("aac", rate, layout)}
        for packet in packets:
            data = bytes(packet)
            made = codings.copy().pop().adts(len(data) - 7)
            assert made[:2] == data[:2]
            assert made[2] & 0xFD == data[2] & 0xFD
            assert (made[3] & 0xC3, made[4], made[5] & 0xE0) == (data[3] & 0xC3, data[4], data[5] & 0xE0)


def test_sound_of_one_form_passes_as_it_is() -> None:
    resampler = Resampler()
    frames = [av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono") for _ in range(3)]
    for frame in frames:
        frame.sample_rate = media_samples.RATE
    assert [each for frame in frames for each in resampler(frame)] == frames
    assert not list(resampler.flush())


def test_sound_that_cannot_be_read_is_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    plain, other = piece(tmp_path / "a.ts"), piece(tmp_path / "b.ts", rate=44_100)
    with av.open(other) as file:
        places = [packet.pos for packet in file.demux(audio=0) if packet.pos is not None]
    data = bytearray(other.read_bytes())
    for place in places[1:]:  # at the start of each PES packet of sound: its payload without the headers
        start = place + 188 - 100
        data[start : start + 90] = np.random.default_rng(place).bytes(90)
    other.write_bytes(data)
    written = tmp_path / "written.mp4"
    with open_film(joined(tmp_path / "joined.ts", plain, other, plain)) as opened:
        writer = FilmWriter(written, opened)
        for item in opened.read():
            if isinstance(item, av.VideoFrame):
                writer.write(item)
            else:
                writer.write_sound(item)
        writer.close()
        assert 0 < opened.losses.unheard < 2.1
    seen, heard = signals(written)
    assert len(media_samples.read(written)) == 3 * COUNT
    assert len(seen) == 3
    assert heard[0] == pytest.approx(seen[0], abs=FRAME)
    assert heard[-1] == pytest.approx(seen[-1], abs=1.5 * FRAME)


DAMAGES = {  # of an ADTS packet (ISO/IEC 13818-7, 6.2): offset in it, and what is there in its place
    "no-sync": (0, b"\0"),
    "no-rate": (2, b"\x7f"),
    "channels-described-elsewhere": (3, b"\0"),
    "two-headers": (7, b"\xff\xff\xff"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_film_is_copied_whatever_its_first_packet_of_sound_is(tmp_path: Path, damage: str) -> None:
    path = piece(tmp_path / "a.ts")
    with av.open(path) as file:
        first = next(packet for packet in file.demux(audio=0) if packet.size)
        start = bytes(first)[:7]
    data = bytearray(path.read_bytes())
    place, (offset, content) = data.index(start, first.pos or 0), DAMAGES[damage]
    data[place + offset : place + offset + len(content)] = content
    path.write_bytes(data)
    with open_film(path) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened)
        for item in opened.read():
            writer.write(item) if isinstance(item, av.VideoFrame) else writer.write_sound(item)
        writer.close()
        assert 0 < opened.losses.unheard < 0.1
    seen, heard = signals(tmp_path / "copy.mp4")
    assert len(media_samples.read(tmp_path / "copy.mp4")) == COUNT
    assert heard == pytest.approx(seen, abs=1.5 * FRAME)


@pytest.mark.parametrize("sound", ["ac3", "eac3"])
@pytest.mark.parametrize("damaged", [slice(1), slice(20, 30), slice(-1, None), slice(None)])
def test_sound_that_an_mp4_refuses_does_not_end_the_film(tmp_path: Path, sound: str, damaged: slice) -> None:
    path = piece(tmp_path / "a.mkv", sound=sound)
    with av.open(path) as file:
        packets = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    data, place, places = bytearray(path.read_bytes()), 0, []
    for packet in packets:
        places.append(data.index(packet, place))
        place = places[-1] + len(packet)
    for place in places[damaged]:
        data[place : place + 8] = b"\x55\xaa" * 4
    path.write_bytes(data)
    with open_film(path) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened)
        for item in opened.read():
            writer.write(item) if isinstance(item, av.VideoFrame) else writer.write_sound(item)
        writer.close()
        assert opened.losses.unheard == pytest.approx(len(places[damaged]) * 1536 / media_samples.RATE, abs=0.07)
    assert len(media_samples.read(tmp_path / "copy.mp4")) == COUNT


def tone_of(path: Path) -> float:
    """When the tone begins, in seconds."""
    # Mixed to one channel: PyAV's arrays of eight planar channels read beyond the last.
    mix = av.AudioResampler("s16", "mono")
    with av.open(path) as file:
        mono = np.concatenate([each.to_ndarray()[0] for heard in file.decode(audio=0) for each in mix.resample(heard)])
    return float(np.flatnonzero(np.abs(mono) > 1000)[0]) / media_samples.RATE


@pytest.mark.parametrize("suffix", [".mov", ".mkv", ".avi"])
@pytest.mark.parametrize(
    ("layout", "written"),
    [("mono", "mono"), ("stereo", "stereo"), ("5.1", "5.1"), ("7.1", "7.1"), ("7.1(wide)", "7.1"), ("6.1", "stereo")],
)
def test_sound_with_many_channels_is_encoded_by_their_number(
    tmp_path: Path, suffix: str, layout: str, written: str
) -> None:
    film = media_samples.write(tmp_path / f"a{suffix}", sound="pcm_s16le", layout=layout, time_base=Fraction(1, 30))
    made = film_files.copy(film, tmp_path / "copy.mp4")
    with av.open(made) as file:
        sounds = list(file.decode(audio=0))
        assert {samples.layout.name for samples in sounds} == {written}
    assert tone_of(made) == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("tag", [126, 127, 128])
def test_channels_in_an_order_without_a_name_do_not_end_the_process(tmp_path: Path, tag: int) -> None:
    """QuickTime's MPEG_7_1_A, B and C have no name in FFmpeg, and PyAV frees such an order twice."""
    film = media_samples.write(tmp_path / "a.mov", sound="pcm_s16le", layout="7.1", time_base=Fraction(1, 30))
    data = bytearray(film.read_bytes())
    place = data.index(b"chan") + 8
    data[place : place + 8] = struct.pack(">II", tag << 16 | 8, 0)
    film.write_bytes(data)
    made = film_files.copy(film, tmp_path / "copy.mp4")
    gc.collect()
    with av.open(made) as file:
        assert {samples.layout.name for samples in file.decode(audio=0)} == {"7.1"}
    assert tone_of(made) == pytest.approx(1 / 3, abs=0.05)


def test_sound_with_too_many_channels_is_left_out_and_said(tmp_path: Path) -> None:
    channels = "FL+FR+FC+LFE+BL+BR+SL+SR+TC"
    film = media_samples.write(tmp_path / "a.avi", sound="pcm_s16le", layout=channels, time_base=Fraction(1, 30))
    with open_film(film) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened)
        for item in opened.read():
            writer.write(item) if isinstance(item, av.VideoFrame) else writer.write_sound(item)
        writer.close()
        assert opened.losses.silent
    with av.open(tmp_path / "copy.mp4") as file:
        assert not file.streams.audio

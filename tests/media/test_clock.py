"""Films whose clock jumps: every frame and all sound is kept, piece after piece and in sync."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Stream

from tests.support.films import media_samples
from tests.support.films.joined_films import (
    COUNT,
    FRAME,
    RATE,
    SIZE,
    copy,
    end_to_end,
    joined,
    length_of_sound,
    piece,
    read,
    signals,
)
from whycam.stream.media.clock import LEAP_S, PERIOD, WAIT_S, Clock, Kind
from whycam.stream.media.film_reader import open_film, read_film
from whycam.stream.video.codec import TIME_BASE

KINDS: dict[str, Kind] = {"v": "video", "a": "audio"}
BEFORE_WRAP = 95_442.7
"""Seconds on an MPEG clock, one before it wraps to 0."""


MPEG = [
    (".ts", "libx264", "aac"),
    (".ts", "libx265", "aac"),
    (".ts", "mpeg2video", "mp2"),
    (".mpg", "mpeg2video", "mp2"),
    (".vob", "mpeg2video", "ac3"),
]
BEGINS = {
    "the same again": (0, 0),
    "three times the same": (0, 0, 0),
    "back from ten hours": (36_000, 0),
    "forward by half an hour": (0, 1800),
    "forward by hours": (10, 50_000),
    "just back": (2, 0),
    "a wrap in the first": (BEFORE_WRAP, 5000),
    "a wrap in the second": (0, BEFORE_WRAP),
    "a wrap in both": (BEFORE_WRAP, BEFORE_WRAP),
    "FFmpeg takes the second for wrapped": (100, 0),
}


@pytest.mark.parametrize("begins", BEGINS.values(), ids=BEGINS.keys())
@pytest.mark.parametrize(("suffix", "codec", "sound"), MPEG)
def test_pieces_are_read_one_after_the_other(
    tmp_path: Path, suffix: str, codec: str, sound: str, begins: Sequence[float]
) -> None:
    parts = [
        piece(tmp_path / f"{n}{suffix}", begin, codec=codec, sound=sound, count=COUNT - 10 * n)
        for n, begin in enumerate(begins)
    ]
    seen, heard, joins = read(joined(tmp_path / f"joined{suffix}", *parts))
    expected = end_to_end(parts)
    assert len(seen) == sum(COUNT - 10 * n for n in range(len(parts)))
    assert seen == pytest.approx(expected[0], abs=1e-4)
    assert heard == pytest.approx(expected[1], abs=1e-4)
    assert joins == pytest.approx(expected[2], abs=1e-4)
    steps = np.diff(seen)
    assert steps.min() == pytest.approx(FRAME, abs=1e-4)
    assert steps.max() < 2.5 * FRAME


@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".vob"])
def test_picture_and_sound_stay_in_sync_after_a_join(tmp_path: Path, suffix: str) -> None:
    _, codec, sound = next(each for each in reversed(MPEG) if each[0] == suffix)
    parts = [piece(tmp_path / f"{n}{suffix}", begin, codec=codec, sound=sound) for n, begin in enumerate((9, 0, 7200))]
    written = copy(joined(tmp_path / f"joined{suffix}", *parts))
    seen, heard = signals(written)
    assert len(seen) == len(heard) == 3
    assert heard == pytest.approx(seen, abs=0.005)
    assert np.diff(seen) == pytest.approx([2, 2], abs=2 * FRAME)
    # A separate encoder adds the frame or two that it holds back.
    assert length_of_sound(written) == pytest.approx(sum(map(length_of_sound, parts)), abs=0.08)
    assert len(media_samples.times(written)) == 3 * COUNT


@pytest.mark.parametrize(("suffix", "codec", "sound"), [(".mkv", "libx264", "aac"), (".webm", "libvpx", "libopus")])
def test_a_clock_that_jumps_back_begins_a_segment_in_other_containers_too(
    tmp_path: Path, suffix: str, codec: str, sound: str
) -> None:
    part = piece(tmp_path / f"a{suffix}", codec=codec, sound=sound)
    seen, heard, joins = read(joined(tmp_path / f"joined{suffix}", part, part))
    assert len(seen) == 2 * COUNT
    assert len(joins) == 1
    assert np.diff(seen) == pytest.approx(FRAME, abs=0.04)
    assert np.diff(heard).min() > 0
    assert heard[-1] == pytest.approx(2 * read(part)[1][-1], abs=0.1)


PLAIN = [
    *MPEG,
    (".mkv", "libx264", "aac"),
    (".mp4", "libx264", "aac"),
    (".mov", "libx264", "aac"),
    (".flv", "libx264", "aac"),
    (".webm", "libvpx", "libopus"),
    (".nut", "libx264", "aac"),
]


@pytest.mark.parametrize("begin", [0, 36_000, BEFORE_WRAP])
@pytest.mark.parametrize(("suffix", "codec", "sound"), PLAIN)
def test_a_film_of_one_piece_keeps_its_times(tmp_path: Path, suffix: str, codec: str, sound: str, begin: float) -> None:
    path = piece(tmp_path / f"a{suffix}", begin, codec=codec, sound=sound)
    with av.open(path) as file:
        mpeg = suffix in (".ts", ".mpg", ".vob")
        start = (file.start_time or 0) / av.time_base if mpeg else 0
        expected = sorted(picture.time - start for picture in file.decode(video=0))
    with av.open(path) as file:
        sounds = [float(p.dts * p.time_base) - start for p in file.demux(audio=0) if p.dts is not None]
    seen, heard, joins = read(path)
    assert seen == pytest.approx(expected, abs=2e-5)
    assert heard == pytest.approx(sounds, abs=2e-5)
    assert not joins


def test_a_slide_may_be_shown_for_long(tmp_path: Path) -> None:
    slides = [round(n * 20 / TIME_BASE) for n in range(6)]
    path = media_samples.write(tmp_path / "slides.ts", pts=slides)
    seen, _, joins = read(path)
    assert seen == pytest.approx([n * 20 for n in range(6)])
    assert not joins


def test_hours_between_two_frames_are_a_jump_of_an_mpeg_clock_only(tmp_path: Path) -> None:
    pts = [round((n + (3600 if n >= 5 else 0)) / RATE / TIME_BASE) + (n >= 5) * 324_000_000 for n in range(10)]
    for suffix in (".mkv", ".mp4"):
        seen, _, joins = read(media_samples.write(tmp_path / f"lapse{suffix}", pts=pts))
        assert seen[5] > 3600
        assert not joins
    # The encoder's reordering crosses the jump: a frame more or less.
    with open_film(media_samples.write(tmp_path / "lapse.ts", pts=pts)) as opened:
        seen = [item.time for item in read_film(opened) if isinstance(item, av.VideoFrame)]
        assert len(opened.losses.joins) == 1
        assert not opened.losses.concealed
    assert len(seen) == 10
    assert seen[-1] == pytest.approx(9 * FRAME, abs=2 * FRAME)


def test_a_piece_without_sound_takes_its_time(tmp_path: Path) -> None:
    with_sound, without = piece(tmp_path / "a.ts"), piece(tmp_path / "b.ts", sound=None)
    for name, parts in {
        "behind": (with_sound, without),
        "before": (without, with_sound),
        "between": (with_sound, without, with_sound),
    }.items():
        path = joined(tmp_path / f"{name}.ts", *parts)
        seen, _, _ = read(path)
        assert len(seen) == len(parts) * COUNT
        assert np.diff(seen).min() == pytest.approx(FRAME, abs=1e-3)
        assert np.diff(seen).max() < 3 * FRAME
        white, beeps = signals(copy(path))
        assert beeps == pytest.approx(
            [at for at, part in zip(white, parts, strict=True) if part is with_sound], abs=0.01
        )


def test_pieces_may_differ_in_size(tmp_path: Path) -> None:
    parts = [piece(tmp_path / f"{n}.ts", size=size) for n, size in enumerate(((64, 48), (96, 64), (48, 64)))]
    path = joined(tmp_path / "joined.ts", *parts)
    assert read(path)[0] == pytest.approx(end_to_end(parts)[0], abs=1e-4)
    written = copy(path)
    assert {(shot.frame.width, shot.frame.height) for shot in media_samples.read(written)} == {SIZE}
    assert len(media_samples.read(written)) == 3 * COUNT


def test_a_piece_that_begins_between_keyframes_shows_nothing_wrong(tmp_path: Path) -> None:
    """Like a capture: until its first keyframe the last frame of the piece before is repeated, and counted."""
    whole = piece(tmp_path / "a.ts", key=25, sound=None)
    with av.open(whole) as file:
        cut = [packet.pos for packet in file.demux(video=0) if packet.size][10]
    assert cut is not None
    data = whole.read_bytes()
    tables = data[: 188 * 3]  # without which the streams are unknown
    path = tmp_path / "joined.ts"
    path.write_bytes(data + tables + data[cut:])
    with open_film(path) as opened:
        frames = [item for item in read_film(opened) if isinstance(item, av.VideoFrame)]
        levels = [picture.to_ndarray(format="gray").mean() for picture in frames]
        assert opened.losses.joins == pytest.approx([2.0], abs=0.01)
        assert 10 <= opened.losses.concealed <= 25
        assert len(frames) + opened.losses.lost >= 2 * COUNT - 12
    assert [round(level / 10) for level in levels[COUNT : COUNT + 5]] == [round(levels[COUNT - 1] / 10)] * 5


@pytest.fixture
def streams() -> Iterator[dict[str, Stream]]:
    with av.open(BytesIO(), "w", format="mpegts") as file:
        yield {"v": file.add_stream("libx264", RATE), "a": file.add_stream("aac", 48_000)}


def line(streams: dict[str, Stream], given: Sequence[tuple[str, float]], name: str = "mpegts") -> Line:
    """The times, in seconds, that a clock makes of some packets' times, and where new segments begin."""

    def packets() -> Iterator[tuple[Kind, av.Packet[Any]]]:
        for kind, time in given:
            packet: av.Packet[Any] = av.Packet(b"something")
            packet.stream, packet.time_base = streams[kind], TIME_BASE
            packet.pts = packet.dts = round(time / TIME_BASE)
            packet.duration = round(0.1 / TIME_BASE)
            yield KINDS[kind], packet

    clock = Clock(name, Fraction(0))
    made: dict[str, list[float]] = {"v": [], "a": []}
    for kind, packet in clock.line(packets()):
        if packet.dts is not None:
            made[kind[0]].append(float(packet.dts * TIME_BASE))
    return made, clock.joins


Line = tuple[dict[str, list[float]], list[float]]


def both(begin: float, seconds: float, sound_from: float = 0.0) -> list[tuple[str, float]]:
    """Video and sound packets ten times a second; the sound is `sound_from` seconds later in the file."""
    times = [begin + n / 10 for n in range(round(seconds * 10))]
    return [
        each
        for _, each in sorted([(at, ("v", at)) for at in times] + [(at + sound_from + 0.05, ("a", at)) for at in times])
    ]


def steady(times: Sequence[float], count: int) -> bool:
    return len(times) == count and bool(np.allclose(np.diff(times), 0.1, atol=1e-4))


@pytest.mark.parametrize("late", [0, 0.3, 0.9])
def test_the_sound_may_be_later_in_the_file_than_the_picture(streams: dict[str, Stream], late: float) -> None:
    first, second = both(100, 5, late), both(20, 5, late)
    # The rest of the first piece's sound comes after the second's video has begun.
    tail = [each for each in first if each[0] == "a"][-3:]
    ahead = [each for each in second if each[0] == "v"][:3]
    given = [each for each in first if each not in tail] + ahead + tail + [each for each in second if each not in ahead]
    made, joins = line(streams, given)
    assert steady(made["v"], 100)
    assert steady(made["a"], 100)
    assert joins == pytest.approx([105])


def test_short_pieces_are_all_distinguished(streams: dict[str, Stream]) -> None:
    made, joins = line(streams, both(50, 0.6, 0.2) * 5)
    assert steady(made["v"], 30)
    assert steady(made["a"], 30)
    assert joins == pytest.approx([50.6, 51.2, 51.8, 52.4])


def test_a_little_disorder_begins_no_segment(streams: dict[str, Stream]) -> None:
    given = [(kind, at - 0.08 * (n % 3)) for n, (kind, at) in enumerate(both(0.2, 5))]
    made, joins = line(streams, given)
    for kind in ("v", "a"):
        assert made[kind] == pytest.approx([at for which, at in given if which == kind], abs=1e-4)
    assert not joins


def test_one_outlier_does_not_put_picture_and_sound_out_of_sync(streams: dict[str, Stream]) -> None:
    for offset in (8.0, LEAP_S - 1):
        given = both(0, 10)
        given[60] = (given[60][0], given[60][1] + offset)
        made, joins = line(streams, given)
        assert not joins
        assert made["v"][-1] == pytest.approx(9.9)
        assert made["a"][-1] == pytest.approx(9.9)
    for offset in (LEAP_S + 100, 40_000, -5):
        given = both(10, 10)
        given[60] = (given[60][0], given[60][1] + offset)
        made, joins = line(streams, given)
        assert steady(made["v"], 100)
        assert steady(made["a"], 100)
        assert not joins


@pytest.mark.parametrize("kind", ["v", "a"])
def test_a_disorder_of_one_stream_does_not_put_it_out_of_sync(streams: dict[str, Stream], kind: str) -> None:
    """As where a broadcaster cuts the sound: the other stream's clock continues."""
    given = both(0, 60)
    for at in (10, 20, 30, 40):
        place = given.index((kind, at))
        given[place:place] = [(kind, at - 0.3), (kind, at - 0.2), (kind, at - 0.1)]
    made, joins = line(streams, given)
    assert not joins
    for each in ("v", "a"):
        assert made[each] == pytest.approx([time for which, time in given if which == each], abs=1e-4)


def test_sound_that_was_missing_returns_at_its_time(streams: dict[str, Stream]) -> None:
    given = [(kind, at) for kind, at in both(0, 100) if kind == "v" or not 10 <= at < 80]
    made, joins = line(streams, given)
    assert steady(made["v"], 1000)
    assert made["a"][100] == pytest.approx(80)
    assert not joins


def test_after_a_jump_of_one_stream_the_other_continues(streams: dict[str, Stream]) -> None:
    given = [(kind, at + (5000 if kind == "a" and at >= 10 else 0)) for kind, at in both(0, 30)]
    made, joins = line(streams, given)
    assert steady(made["v"], 300)
    assert steady(made["a"], 300)
    assert joins == pytest.approx([10])


def test_a_clock_may_wrap_repeatedly(streams: dict[str, Stream]) -> None:
    """FFmpeg corrects the first wrap; a film of days has more."""
    period = float(PERIOD)
    given = [each for day in range(4) for each in both(day * 25, 25)]
    made, joins = line(streams, [(kind, (at + period - 30) % (2 * period) % period) for kind, at in given])
    assert steady(made["v"], 1000)
    assert steady(made["a"], 1000)
    assert not joins


def test_a_wrap_may_be_between_the_two_times_of_a_packet(streams: dict[str, Stream]) -> None:
    """FFmpeg adds a wrap to each of them that is more than a minute before the film's first."""
    ticks = round(PERIOD / TIME_BASE)
    delays = [2, 5, 1, 0, 3, 6, 2, 1, 4, 5]

    def packets() -> Iterator[tuple[Kind, av.Packet[Any]]]:
        for number, delay in enumerate(delays):
            packet: av.Packet[Any] = av.Packet(b"something")
            packet.stream, packet.time_base = streams["v"], TIME_BASE
            packet.dts, packet.pts = number * 3000, (number + delay) * 3000
            packet.dts += ticks if number < 5 else 0
            packet.pts += ticks if number + delay < 5 else 0
            yield "video", packet

    made = [(packet.dts, packet.pts) for _, packet in Clock("mpegts", Fraction(0)).line(packets())]
    assert made == [(ticks + n * 3000, ticks + (n + delay) * 3000) for n, delay in enumerate(delays)]


def test_waiting_for_a_stream_that_does_not_come_ends(streams: dict[str, Stream]) -> None:
    clock = Clock("mpegts", Fraction(0))
    taken: list[float] = []

    def packets() -> Iterator[tuple[Kind, av.Packet[Any]]]:
        silent = [("v", at) for at in np.arange(0, 60, 0.1)]
        for kind, time in both(100, 5) + silent:
            packet: av.Packet[Any] = av.Packet(b"something")
            packet.stream, packet.time_base = streams[kind], TIME_BASE
            packet.pts = packet.dts = round(time / TIME_BASE)
            taken.append(float(time))
            yield KINDS[kind], packet

    ahead = [
        taken[-1] - (float(packet.dts * TIME_BASE) - 105)
        for _, packet in clock.line(packets())
        if packet.dts is not None and packet.dts * TIME_BASE > 105
    ]
    assert len(ahead) > 590
    assert max(ahead) < WAIT_S + 0.5
    assert ahead[-1] < 0.5

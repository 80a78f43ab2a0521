"""Films in and out: every frame upright and at its time, the sound beside it, nothing of the place it was filmed at."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stream.media import FilmWriter, MediaError, open_film, read_film
from stream.planes import Colour
from tests import film

SIZE = (64, 48)


def frames_of(path: Path) -> list[av.VideoFrame]:
    with open_film(path) as opened:
        return [item for item in read_film(opened) if isinstance(item, av.VideoFrame)]


def copy(source: Path, target: Path) -> Path:
    """What `explain_file` does, without explaining."""
    with open_film(source) as opened:
        writer = FilmWriter(target, opened)
        for item in read_film(opened):
            if isinstance(item, av.VideoFrame):
                writer.write(item)
            else:
                writer.write_sound(item)
        writer.close()
    return target


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_every_frame_is_read_once_and_at_its_time(tmp_path: Path, codec: str) -> None:
    path = film.write(tmp_path / "kitchen.mp4", count=25, size=SIZE, codec=codec)
    with open_film(path) as opened:
        assert opened.frames == 25
        frames = [item for item in read_film(opened) if isinstance(item, av.VideoFrame)]
        times = [float((f.pts or 0) * opened.time_base) for f in frames]
    assert times == pytest.approx([n / 30 for n in range(25)], abs=1e-4)
    for number, frame in enumerate(frames):
        x, y = film.place(SIZE, number).middle
        assert np.abs(film.colour_at(frame, x, y) - film.RED).max() < 45


@pytest.mark.parametrize(
    ("turn", "red_corner", "upright"),
    [
        (0, "lower left", (64, 48)),
        (90, "upper left", (48, 64)),
        (180, "upper right", (64, 48)),
        (270, "lower right", (48, 64)),
    ],
)
def test_a_film_is_turned_as_its_phone_was_held(
    tmp_path: Path, turn: int, red_corner: str, upright: tuple[int, int]
) -> None:
    for frame in frames_of(film.write(tmp_path / "kitchen.mov", count=2, size=SIZE, turn=turn)):
        assert (frame.width, frame.height) == upright
        rows = {"upper": 10, "lower": frame.height - 11}
        columns = {"left": 10, "right": frame.width - 11}
        red = [
            f"{row} {column}"
            for row, y in rows.items()
            for column, x in columns.items()
            if np.abs(film.colour_at(frame, x, y) - film.RED).max() < 60
        ]
        assert red == [red_corner]


@pytest.mark.parametrize(("size", "even"), [((65, 49), (64, 48)), ((64, 49), (64, 48)), ((65, 48), (64, 48))])
@pytest.mark.parametrize("turn", [0, 90])
def test_an_odd_last_row_or_column_is_left_out(
    tmp_path: Path, size: tuple[int, int], even: tuple[int, int], turn: int
) -> None:
    path = film.write(tmp_path / "odd.mov", size=size, pix_fmt="yuv444p", turn=turn)
    copied = copy(path, tmp_path / "copy.mp4")
    for shot in film.read(copied):
        assert (shot.frame.width, shot.frame.height) == (even if not turn else even[::-1])
    assert len(film.read(copied)) == 20


@pytest.mark.parametrize("pix_fmt", ["yuv422p", "yuv444p", "yuv420p10le", "yuvj420p"])
def test_films_of_other_formats_keep_their_colours(tmp_path: Path, pix_fmt: str) -> None:
    path = film.write(tmp_path / "kitchen.mp4", size=SIZE, pix_fmt=pix_fmt, full_range=pix_fmt == "yuvj420p")
    copied = film.read(copy(path, tmp_path / "copy.mp4"))
    for shots, frame in ((copied, copied[3].frame), (frames_of(path), frames_of(path)[3])):
        assert len(shots) == 20
        full_range = frame.color_range == 2
        assert full_range == (pix_fmt == "yuvj420p")
        x, y = film.place(SIZE, 3).middle
        assert np.abs(film.colour_at(frame, x, y, full_range=full_range) - film.RED).max() < 45
        assert np.abs(film.colour_at(frame, 60, 4, full_range=full_range) - film.GREY).max() < 8


def test_a_turned_film_keeps_its_matrix_and_range(tmp_path: Path) -> None:
    path = film.write(tmp_path / "kitchen.mov", size=SIZE, pix_fmt="yuvj420p", full_range=True, turn=90)
    for frame in (frames_of(path)[0], film.read(copy(path, tmp_path / "copy.mp4"))[0].frame):
        assert (frame.width, frame.height) == SIZE[::-1]
        assert Colour.of(frame) == Colour("bt601", full_range=True)
        assert np.abs(film.colour_at(frame, 40, 60, full_range=True) - film.GREY).max() < 8


def test_a_copy_has_the_frames_times_and_size_of_its_source(tmp_path: Path) -> None:
    source = film.write(tmp_path / "kitchen.mp4", count=40, size=SIZE)
    copied = copy(source, tmp_path / "copy.mp4")
    assert film.times(copied) == film.times(source)
    for number, shot in enumerate(film.read(copied)):
        x, y = film.place(SIZE, number).middle
        assert (shot.frame.width, shot.frame.height) == SIZE
        assert np.abs(film.colour_at(shot.frame, x, y) - film.RED).max() < 50


@pytest.mark.parametrize(
    ("pts", "time_base"),
    [
        ([0, 20, 60, 61, 110, 180, 181, 300], Fraction(1, 600)),
        ([7 + 20 * n for n in range(20)], Fraction(1, 600)),
        ([1000 + 1001 * n for n in range(20)], Fraction(1, 30_000)),
        ([12_345 + 3003 * n for n in range(20)], Fraction(1, 90_000)),
        ([3 * n * n for n in range(20)], Fraction(1, 1000)),
    ],
)
def test_frames_that_come_irregularly_or_begin_late_keep_their_times(
    tmp_path: Path, pts: Sequence[int], time_base: Fraction
) -> None:
    source = film.write(tmp_path / "kitchen.mov", count=len(pts), size=SIZE, pts=pts, time_base=time_base)
    expected = [shot.time for shot in film.read(source)]
    assert [float(time) for time in expected] == pytest.approx([float(p * time_base) for p in pts], abs=1e-4)
    assert [shot.time for shot in film.read(copy(source, tmp_path / "copy.mp4"))] == expected


@pytest.mark.parametrize(
    ("suffix", "sound", "kept"),
    [
        (".mp4", "aac", "aac"),
        (".mov", "pcm_s16le", "aac"),
        (".mkv", "libmp3lame", "mp3float"),
        (".mkv", "flac", "aac"),
        (".webm", "libopus", "opus"),
    ],
)
def test_the_sound_is_kept_in_step_with_the_picture(tmp_path: Path, suffix: str, sound: str, kept: str) -> None:
    codec = "libvpx" if suffix == ".webm" else "libx264"
    source = film.write(tmp_path / f"kitchen{suffix}", count=60, size=SIZE, codec=codec, sound=sound)
    copied = copy(source, tmp_path / "copy.mp4")
    assert film.sound(copied) == pytest.approx(film.sound(source), abs=0.03)
    assert film.sound(copied)[1] == pytest.approx(1.0, abs=0.04)
    with av.open(copied) as file:
        assert file.streams.audio[0].codec_context.name == kept
        assert file.streams.audio[0].rate == film.RATE


@pytest.mark.parametrize("sound", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("sound_from", [0.0, 0.25, 1.25])
def test_sound_and_picture_that_begin_apart_stay_apart(tmp_path: Path, sound: str, sound_from: float) -> None:
    pts = [45_000 + n * film.STEP for n in range(60)]
    source = film.write(tmp_path / "kitchen.mov", pts=pts, count=60, size=SIZE, sound=sound, sound_from=sound_from)
    copied = copy(source, tmp_path / "copy.mp4")
    assert film.times(copied) == film.times(source)
    assert film.sound(copied)[1] == pytest.approx(film.sound(source)[1], abs=0.03)


def test_a_film_without_sound_stays_without(tmp_path: Path) -> None:
    copied = copy(film.write(tmp_path / "kitchen.mp4", size=SIZE), tmp_path / "copy.mp4")
    with av.open(copied) as file:
        assert not file.streams.audio


def test_nothing_tells_where_the_film_was_made(tmp_path: Path) -> None:
    place = "+52.0116+004.3571/"
    told = {"location": place, "title": "At home", "com.apple.quicktime.location.ISO6709": place}
    source = film.write(tmp_path / "kitchen.mov", size=SIZE, sound="aac", metadata=told)
    assert b"52.0116" in source.read_bytes()
    copied = copy(source, tmp_path / "copy.mp4")
    data = copied.read_bytes()
    assert b"52.0116" not in data
    assert b"At home" not in data
    with av.open(copied) as file:
        assert not any("location" in key for stream in file.streams for key in {**file.metadata, **stream.metadata})


def test_there_is_no_file_until_the_film_is_whole(tmp_path: Path) -> None:
    source, target = film.write(tmp_path / "kitchen.mp4", size=SIZE), tmp_path / "copy.mp4"
    target.write_bytes(b"an older one")
    with open_film(source) as opened:
        writer = FilmWriter(target, opened)
        for frame in frames_of(source):
            writer.write(frame)
        assert target.read_bytes() == b"an older one"
        writer.close()
    assert len(film.read(target)) == 20
    assert {path.name for path in tmp_path.iterdir()} == {"kitchen.mp4", "copy.mp4"}


def test_a_film_given_up_leaves_nothing_behind(tmp_path: Path) -> None:
    source = film.write(tmp_path / "kitchen.mp4", size=SIZE)
    with open_film(source) as opened:
        for frames in ([], frames_of(source)):
            writer = FilmWriter(tmp_path / "copy.mp4", opened)
            for frame in frames:
                writer.write(frame)
            writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["kitchen.mp4"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"There is no file .*kitchen\.mov\."):
        open_film(tmp_path / "kitchen.mov")
    with pytest.raises(MediaError, match="is a folder"):
        open_film(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a film", bytes(range(256)) * 40])
def test_a_file_that_is_no_film_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"notes\.mp4 (cannot be read as a video|has no video)"):
        open_film(tmp_path / "notes.mp4")


def test_a_film_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = film.write(tmp_path / "kitchen.mp4", size=SIZE)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(MediaError, match=r"kitchen\.mp4 cannot be read as a video"):
        open_film(path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with av.open(tmp_path / "song.m4a", "w") as file:
        stream = file.add_stream("aac", rate=film.RATE)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
        samples.rate = film.RATE
        file.mux([*stream.encode(samples), *stream.encode(None)])
    with pytest.raises(
        MediaError, match=r"song\.m4a has no video stream \(found: audio\)\. Give a file with a picture"
    ):
        open_film(tmp_path / "song.m4a")


def test_a_film_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with (
        open_film(film.write(tmp_path / "kitchen.mp4", size=SIZE)) as opened,
        pytest.raises(MediaError, match=r"copy\.mp4 cannot be written \(No such file"),
    ):
        FilmWriter(tmp_path / "missing" / "copy.mp4", opened)


def test_a_film_of_no_frames_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    source = film.write(tmp_path / "kitchen.mp4", size=SIZE)
    with open_film(source) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened)
        with pytest.raises(MediaError, match=r"kitchen\.mp4 has no frame"):
            writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["kitchen.mp4"]

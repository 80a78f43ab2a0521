"""Writing films: every frame at its time, with the sound, without the place where it was filmed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.films import media_samples
from tests.support.films.film_files import SIZE, copy, frames_of
from whycam.stream.media.film_reader import open_film
from whycam.stream.media.film_writer import FilmWriter
from whycam.stream.media.losses import MediaError


def test_a_copy_has_the_frames_times_and_size_of_its_source(tmp_path: Path) -> None:
    source = media_samples.write(tmp_path / "kitchen.mp4", count=40, size=SIZE)
    copied = copy(source, tmp_path / "copy.mp4")
    assert media_samples.times(copied) == media_samples.times(source)
    for number, shot in enumerate(media_samples.read(copied)):
        x, y = media_samples.place(SIZE, number).middle
        assert (shot.frame.width, shot.frame.height) == SIZE
        assert np.abs(media_samples.colour_at(shot.frame, x, y) - media_samples.RED).max() < 50


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
    source = media_samples.write(tmp_path / "kitchen.mov", count=len(pts), size=SIZE, pts=pts, time_base=time_base)
    expected = [shot.time for shot in media_samples.read(source)]
    assert [float(time) for time in expected] == pytest.approx([float(p * time_base) for p in pts], abs=1e-4)
    assert [shot.time for shot in media_samples.read(copy(source, tmp_path / "copy.mp4"))] == expected


@pytest.mark.parametrize(
    ("suffix", "sound", "kept"),
    [
        (".mp4", "aac", "aac"),
        (".mov", "pcm_s16le", "aac"),
        (".mkv", "libmp3lame", "mp3float"),
        (".mkv", "flac", "aac"),
        (".webm", "libopus", "opus"),
        (".avi", "pcm_s16le", "aac"),  # which stores the number of channels only
    ],
)
def test_the_sound_is_kept_in_step_with_the_picture(tmp_path: Path, suffix: str, sound: str, kept: str) -> None:
    codec = {".webm": "libvpx", ".avi": "mpeg4"}.get(suffix, "libx264")
    source = media_samples.write(
        tmp_path / f"kitchen{suffix}", count=60, size=SIZE, codec=codec, sound=sound, time_base=Fraction(1, 30)
    )
    copied = copy(source, tmp_path / "copy.mp4")
    assert media_samples.sound(copied) == pytest.approx(media_samples.sound(source), abs=0.03)
    assert media_samples.sound(copied)[1] == pytest.approx(1.0, abs=0.04)
    with av.open(copied) as file:
        assert file.streams.audio[0].codec_context.name == kept
        assert file.streams.audio[0].rate == media_samples.RATE


@pytest.mark.parametrize("sound", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("sound_from", [0.0, 0.25, 1.25])
def test_sound_and_picture_that_begin_apart_stay_apart(tmp_path: Path, sound: str, sound_from: float) -> None:
    pts = [45_000 + n * media_samples.STEP for n in range(60)]
    source = media_samples.write(
        tmp_path / "kitchen.mov", pts=pts, count=60, size=SIZE, sound=sound, sound_from=sound_from
    )
    copied = copy(source, tmp_path / "copy.mp4")
    assert media_samples.times(copied) == media_samples.times(source)
    assert media_samples.sound(copied)[1] == pytest.approx(media_samples.sound(source)[1], abs=0.03)


def test_a_film_without_sound_stays_without(tmp_path: Path) -> None:
    copied = copy(media_samples.write(tmp_path / "kitchen.mp4", size=SIZE), tmp_path / "copy.mp4")
    with av.open(copied) as file:
        assert not file.streams.audio


def test_the_place_where_the_film_was_made_is_dropped(tmp_path: Path) -> None:
    place = "+52.0116+004.3571/"
    metadata = {"location": place, "title": "At home", "com.apple.quicktime.location.ISO6709": place}
    source = media_samples.write(tmp_path / "kitchen.mov", size=SIZE, sound="aac", metadata=metadata)
    assert b"52.0116" in source.read_bytes()
    copied = copy(source, tmp_path / "copy.mp4")
    data = copied.read_bytes()
    assert b"52.0116" not in data
    assert b"At home" not in data
    with av.open(copied) as file:
        assert not any("location" in key for stream in file.streams for key in {**file.metadata, **stream.metadata})


def test_the_file_gets_its_name_when_the_film_is_complete(tmp_path: Path) -> None:
    source, target = media_samples.write(tmp_path / "kitchen.mp4", size=SIZE), tmp_path / "copy.mp4"
    target.write_bytes(b"an older one")
    with open_film(source) as opened:
        writer = FilmWriter(target, opened)
        for frame in frames_of(source):
            writer.write(frame)
        assert target.read_bytes() == b"an older one"
        writer.close()
    assert len(media_samples.read(target)) == 20
    assert {path.name for path in tmp_path.iterdir()} == {"kitchen.mp4", "copy.mp4"}


def test_a_discarded_film_leaves_nothing_behind(tmp_path: Path) -> None:
    source = media_samples.write(tmp_path / "kitchen.mp4", size=SIZE)
    with open_film(source) as opened:
        for frames in ([], frames_of(source)):
            writer = FilmWriter(tmp_path / "copy.mp4", opened)
            for frame in frames:
                writer.write(frame)
            writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["kitchen.mp4"]


def test_a_film_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with (
        open_film(media_samples.write(tmp_path / "kitchen.mp4", size=SIZE)) as opened,
        pytest.raises(MediaError, match=r"copy\.mp4 cannot be written \(No such file"),
    ):
        FilmWriter(tmp_path / "missing" / "copy.mp4", opened)


def test_a_film_of_no_frames_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    source = media_samples.write(tmp_path / "kitchen.mp4", size=SIZE)
    with open_film(source) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened)
        with pytest.raises(MediaError, match=r"kitchen\.mp4 has no frame"):
            writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["kitchen.mp4"]


def test_a_film_that_changes_its_size_keeps_the_first(tmp_path: Path) -> None:
    joined = b"".join(
        media_samples.write(tmp_path / f"{width}.h264", count=10, size=(width, 48)).read_bytes()
        for width in (64, 96, 32)
    )
    path = tmp_path / "joined.h264"
    path.write_bytes(joined)
    assert {frame.width for frame in frames_of(path)} == {64, 96, 32}
    shots = media_samples.read(copy(path, tmp_path / "copy.mp4"))
    assert len(shots) == 30
    assert {(shot.frame.width, shot.frame.height) for shot in shots} == {SIZE}
    wide, narrow = media_samples.pixels(shots[15].frame)[0], media_samples.pixels(shots[25].frame)[0]
    assert wide[1].max() < 40  # black above
    assert wide[24].min() > 40
    assert narrow[24, 2] < 40  # black at the side
    assert narrow[24, 32] > 40


@pytest.mark.parametrize(
    ("sound", "layout", "kept"),
    [
        ("aac", "stereo", ("aac", 2)),
        ("pcm_s16le", "stereo", ("aac", 2)),
        ("pcm_s16le", "5.1", ("aac", 6)),
        ("pcm_s16le", "mono", ("aac", 1)),
    ],
)
def test_sound_keeps_its_channels(tmp_path: Path, sound: str, layout: str, kept: tuple[str, int]) -> None:
    source = media_samples.write(tmp_path / "kitchen.mov", count=60, size=SIZE, sound=sound, layout=layout)
    copied = copy(source, tmp_path / "copy.mp4")
    with av.open(copied) as file:
        context = file.streams.audio[0].codec_context
        assert (context.name, len(context.layout.channels)) == kept


def test_sound_that_cannot_be_set_up_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(writer: FilmWriter, audio: object) -> None:
        raise ValueError("'mp4' format does not support it")

    monkeypatch.setattr(FilmWriter, "_sound_track", fails)
    with (
        open_film(media_samples.write(tmp_path / "kitchen.mp4", size=SIZE, sound="aac")) as opened,
        pytest.raises(MediaError, match=r"copy\.mp4 cannot be written \('mp4' format"),
    ):
        FilmWriter(tmp_path / "copy.mp4", opened)
    assert [path.name for path in tmp_path.iterdir()] == ["kitchen.mp4"]


def test_metadata_is_kept_on_request(tmp_path: Path) -> None:
    source = media_samples.write(tmp_path / "kitchen.mov", size=SIZE, metadata={"title": "At home"})
    with open_film(source) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened, keep_metadata=True)
        for frame in frames_of(source):
            writer.write(frame)
        writer.close()
    with av.open(tmp_path / "copy.mp4") as file:
        assert file.metadata["title"] == "At home"


def test_rgb_frames_are_written_in_their_colours(tmp_path: Path) -> None:
    with open_film(media_samples.write(tmp_path / "kitchen.mp4", size=SIZE)) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened)
        for number in range(5):
            picture = av.VideoFrame.from_ndarray(media_samples.spot(SIZE, number), "rgb24")
            picture.pts, picture.time_base = number * 3000, opened.time_base
            writer.write(picture)
        writer.close()
    for number, shot in enumerate(media_samples.read(tmp_path / "copy.mp4")):
        found = media_samples.colour_at(shot.frame, *media_samples.place(SIZE, number).middle, matrix="bt709")
        assert np.abs(found - media_samples.RED).max() < 25


def test_a_film_may_be_given_another_rate(tmp_path: Path) -> None:
    source = media_samples.write(tmp_path / "kitchen.mp4", size=SIZE)
    with open_film(source) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened, rate=Fraction(25))
        for number, frame in enumerate(frames_of(source)):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            writer.write(frame)
        writer.close()
    assert media_samples.times(tmp_path / "copy.mp4") == [3600 * number for number in range(20)]


def test_a_film_with_too_long_a_side_is_refused_in_a_sentence(tmp_path: Path) -> None:
    source = media_samples.write(
        tmp_path / "tall.mkv", size=(16, 16_400), codec="ffv1", pts=[0, 33], time_base=Fraction(1, 1000)
    )
    with open_film(source) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened)
        with pytest.raises(MediaError, match=r"would be 16 x 16400; H\.264 has at most 16384 pixels"):
            writer.write(next(item for item in opened.read() if isinstance(item, av.VideoFrame)))
        writer.discard()


def test_an_absurd_duration_of_the_last_frame_is_ignored(tmp_path: Path) -> None:
    source = media_samples.write(tmp_path / "kitchen.mov", count=3, size=SIZE)
    with open_film(source) as opened:
        writer = FilmWriter(tmp_path / "copy.mp4", opened)
        for item in opened.read():
            assert isinstance(item, av.VideoFrame)
            item.duration = 1 << 40
            writer.write(item)
        writer.close()
    assert len(media_samples.read(tmp_path / "copy.mp4")) == 3


def test_a_jump_that_an_mp4_cannot_store_is_a_sentence(tmp_path: Path) -> None:
    """Seven hours at 1/90000 s are above 31 bits, in the last frames too, which the encoder reorders."""
    source = media_samples.write(tmp_path / "kitchen.mp4", size=SIZE)

    def write_all(writer: FilmWriter, jump_at: int) -> None:
        for index, frame in enumerate(frames_of(source)):
            frame.pts, frame.time_base = index + 25 * 25_200 * (index >= jump_at), Fraction(1, 25)
            writer.write(frame)
        writer.close()

    for jump_at in (3, 15, 18):
        with open_film(source) as opened:
            writer = FilmWriter(tmp_path / "copy.mp4", opened)
            with pytest.raises(MediaError, match="jump by 7 hours, more than an MP4 can store"):
                write_all(writer, jump_at)
            writer.discard()

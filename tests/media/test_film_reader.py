"""Reading films: every frame upright, at its time and in its colours, as far as the file can be read."""

from __future__ import annotations

import gc
import io
import itertools
import os
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.frame import PictureType

from tests.support.films import media_samples
from tests.support.films.film_files import SIZE, copy, frames_of
from whycam.stream.media import film_reader
from whycam.stream.media.film_reader import open_film, read_film
from whycam.stream.media.frames import preparation
from whycam.stream.media.losses import Losses, MediaError
from whycam.stream.video.planes import Colour


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_every_frame_is_read_once_and_at_its_time(tmp_path: Path, codec: str) -> None:
    path = media_samples.write(tmp_path / "kitchen.mp4", count=25, size=SIZE, codec=codec)
    with open_film(path) as opened:
        assert opened.frames == 25
        frames = [item for item in read_film(opened) if isinstance(item, av.VideoFrame)]
        times = [float((f.pts or 0) * opened.time_base) for f in frames]
    assert times == pytest.approx([n / 30 for n in range(25)], abs=1e-4)
    for number, frame in enumerate(frames):
        x, y = media_samples.place(SIZE, number).middle
        assert np.abs(media_samples.colour_at(frame, x, y) - media_samples.RED).max() < 45


@pytest.mark.parametrize(
    ("turn", "red_corner", "upright"),
    [
        (0, "lower left", (64, 48)),
        (90, "upper left", (48, 64)),
        (180, "upper right", (64, 48)),
        (270, "lower right", (48, 64)),
        (-360, "lower right", (64, 48)),
        (-90, "upper right", (48, 64)),
        (-180, "upper left", (64, 48)),
        (-270, "lower left", (48, 64)),
    ],
)
def test_a_film_is_turned_as_its_phone_was_held(
    tmp_path: Path, turn: int, red_corner: str, upright: tuple[int, int]
) -> None:
    for frame in frames_of(media_samples.write(tmp_path / "kitchen.mov", count=2, size=SIZE, turn=turn)):
        assert (frame.width, frame.height) == upright
        rows = {"upper": 10, "lower": frame.height - 11}
        columns = {"left": 10, "right": frame.width - 11}
        red = [
            f"{row} {column}"
            for row, y in rows.items()
            for column, x in columns.items()
            if np.abs(media_samples.colour_at(frame, x, y) - media_samples.RED).max() < 60
        ]
        assert red == [red_corner]


@pytest.mark.parametrize(("size", "even"), [((65, 49), (64, 48)), ((64, 49), (64, 48)), ((65, 48), (64, 48))])
@pytest.mark.parametrize("turn", [0, 90])
def test_an_odd_last_row_or_column_is_left_out(
    tmp_path: Path, size: tuple[int, int], even: tuple[int, int], turn: int
) -> None:
    path = media_samples.write(tmp_path / "odd.mov", size=size, pix_fmt="yuv444p", turn=turn)
    copied = copy(path, tmp_path / "copy.mp4")
    for shot in media_samples.read(copied):
        assert (shot.frame.width, shot.frame.height) == (even if not turn else even[::-1])
    assert len(media_samples.read(copied)) == 20


@pytest.mark.parametrize("pix_fmt", ["yuv422p", "yuv444p", "yuv420p10le", "yuvj420p"])
def test_films_of_other_formats_keep_their_colours(tmp_path: Path, pix_fmt: str) -> None:
    path = media_samples.write(tmp_path / "kitchen.mp4", size=SIZE, pix_fmt=pix_fmt, full_range=pix_fmt == "yuvj420p")
    copied = media_samples.read(copy(path, tmp_path / "copy.mp4"))
    for shots, frame in ((copied, copied[3].frame), (frames_of(path), frames_of(path)[3])):
        assert len(shots) == 20
        full_range = frame.color_range == 2
        assert full_range == (pix_fmt == "yuvj420p")
        x, y = media_samples.place(SIZE, 3).middle
        assert np.abs(media_samples.colour_at(frame, x, y, full_range=full_range) - media_samples.RED).max() < 45
        assert np.abs(media_samples.colour_at(frame, 60, 4, full_range=full_range) - media_samples.GREY).max() < 8


def test_a_turned_film_keeps_its_matrix_and_range(tmp_path: Path) -> None:
    path = media_samples.write(tmp_path / "kitchen.mov", size=SIZE, pix_fmt="yuvj420p", full_range=True, turn=90)
    for frame in (frames_of(path)[0], media_samples.read(copy(path, tmp_path / "copy.mp4"))[0].frame):
        assert (frame.width, frame.height) == SIZE[::-1]
        assert Colour.of(frame) == Colour("bt601", full_range=True)
        assert np.abs(media_samples.colour_at(frame, 40, 60, full_range=True) - media_samples.GREY).max() < 8


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"There is no file .*kitchen\.mov\."):
        open_film(tmp_path / "kitchen.mov")
    with pytest.raises(MediaError, match="is a folder"):
        open_film(tmp_path)


@pytest.mark.parametrize("content", [b"not a film", bytes(range(256)) * 40])
def test_a_file_that_is_no_film_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"notes\.mp4 (cannot be read as a video|has no video)"):
        open_film(tmp_path / "notes.mp4")


def test_the_error_says_that_a_file_is_empty_or_forbidden_or_of_another_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in (("empty.mp4", b""), ("text.txt", b"words"), ("kitchen.mov", b"a film")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=r"empty\.mp4 is empty"):
        open_film(tmp_path / "empty.mp4")
    with pytest.raises(MediaError, match=r"text\.txt is of an unknown kind\. Give a film \(MOV"):
        open_film(tmp_path / "text.txt")

    def refuse(*_: object, **__: object) -> None:
        raise av.PermissionError(13, "Permission denied")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(MediaError, match=r"^kitchen\.mov cannot be read \(Permission denied\)\.$"):
        open_film(tmp_path / "kitchen.mov")


def test_a_film_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = media_samples.write(tmp_path / "kitchen.mp4", size=SIZE)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(MediaError, match=r"kitchen\.mp4 cannot be read as a video"):
        open_film(path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with av.open(tmp_path / "song.m4a", "w") as file:
        stream = file.add_stream("aac", rate=media_samples.RATE)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
        samples.rate = media_samples.RATE
        file.mux([*stream.encode(samples), *stream.encode(None)])
    with pytest.raises(
        MediaError, match=r"song\.m4a has no video stream \(found: audio\)\. Give a file with a picture"
    ):
        open_film(tmp_path / "song.m4a")


def damaged(path: Path, number: int) -> Path:
    """The film with noise in place of packet `number`."""
    with av.open(path) as file:
        packets = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    pos, size = packets[number]
    assert pos is not None
    data = bytearray(path.read_bytes())
    data[pos + 5 : pos + size] = np.random.default_rng(1).bytes(size - 5)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "libx264"), (".mp4", "libx265"), (".mkv", "libx264"), (".webm", "libvpx-vp9")]
)
def test_a_frame_that_cannot_be_read_is_filled_and_counted(tmp_path: Path, suffix: str, codec: str) -> None:
    path = damaged(media_samples.write(tmp_path / f"kitchen{suffix}", count=60, size=SIZE, codec=codec), 30)
    expected = media_samples.times(path)
    with open_film(path) as opened:
        frames = [item for item in read_film(opened) if isinstance(item, av.VideoFrame)]
        assert [round((f.pts or 0) * opened.time_base * 90_000) for f in frames] == expected
        assert opened.losses.concealed > 0
        assert not opened.losses.missing
    before, after = (media_samples.pixels(frames[n])[0].astype(int) for n in (0, 59))
    assert before.shape == after.shape


def test_a_frame_shown_again_can_be_painted_by_itself(tmp_path: Path) -> None:
    path = damaged(media_samples.write(tmp_path / "kitchen.mp4", count=60, size=SIZE), 30)
    with open_film(path) as opened:
        times, planes_before = [], []
        for item in read_film(opened):
            assert isinstance(item, av.VideoFrame)
            planes_before.append(media_samples.pixels(item)[0])
            times.append(item.pts)
            item.make_writable()
            for plane in item.planes:
                plane.update(bytes(plane.buffer_size))
        assert opened.losses.concealed
    assert all(luma.any() for luma in planes_before)
    assert any(np.array_equal(a, b) for a, b in itertools.pairwise(planes_before))


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [(".mkv", "libx264", "yuv420p"), (".webm", "libvpx-vp9", "yuv420p"), (".avi", "mjpeg", "yuvj420p")],
)
def test_a_film_that_was_cut_off_gives_what_it_has(tmp_path: Path, suffix: str, codec: str, pix_fmt: str) -> None:
    path = media_samples.write(
        tmp_path / f"kitchen{suffix}",
        count=90,
        size=SIZE,
        codec=codec,
        pix_fmt=pix_fmt,
        full_range=pix_fmt == "yuvj420p",
        time_base=Fraction(1, 30),
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with open_film(path) as opened:
        count = sum(isinstance(item, av.VideoFrame) for item in read_film(opened))
        assert 20 < count < 80
        assert opened.losses.missing == pytest.approx((90 - count) / 30, abs=0.15)


def test_an_mp4_with_its_index_in_front_gives_what_it_has(tmp_path: Path) -> None:
    source = media_samples.write(tmp_path / "kitchen.mp4", count=90, size=SIZE, sound="aac")
    path = copy(source, tmp_path / "copy.mp4")  # written with its index in front
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with open_film(path) as opened:
        count = sum(isinstance(item, av.VideoFrame) for item in read_film(opened))
        assert 10 < count < 80
        assert opened.losses.missing > 0.5


def test_a_film_without_a_duration_breaks_off_within_a_packet(tmp_path: Path) -> None:
    source = media_samples.write(tmp_path / "kitchen.mp4", count=90, size=SIZE)
    path = tmp_path / "live.mp4"
    with av.open(source) as whole, av.open(path, "w", options={"movflags": "frag_keyframe+empty_moov"}) as file:
        stream = file.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.size:
                packet.stream = stream
                file.mux(packet)
    for size, error in ((path.stat().st_size, ""), (path.stat().st_size * 6 // 10, "its last packet is not whole")):
        path.write_bytes(path.read_bytes()[:size])
        with open_film(path) as opened:
            count = sum(isinstance(item, av.VideoFrame) for item in read_film(opened))
            assert opened.losses.error == error
            assert (count == 90) == (not error)


@pytest.mark.parametrize("sound", [None, "aac"])
def test_a_whole_film_lacks_nothing(tmp_path: Path, sound: str | None) -> None:
    for suffix in (".mp4", ".mov", ".mkv", ".flv"):
        with open_film(media_samples.write(tmp_path / f"a{suffix}", count=45, size=SIZE, sound=sound)) as opened:
            for _ in read_film(opened):
                pass
            assert opened.losses == Losses()


def test_frames_without_times_get_some(tmp_path: Path) -> None:
    path = media_samples.write(tmp_path / "kitchen.h264", count=20, size=SIZE)
    times = [frame.pts for frame in frames_of(path)]
    assert len(times) == 20
    assert all(b > a for a, b in itertools.pairwise(times) if a is not None and b is not None)


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".avi", "mpeg4"), (".ts", "libx264"), (".mkv", "ffv1"), (".flv", "flv")]
)
def test_older_containers_are_read(tmp_path: Path, suffix: str, codec: str) -> None:
    path = media_samples.write(tmp_path / f"KITCHEN{suffix.upper()}", size=SIZE, codec=codec, time_base=Fraction(1, 30))
    for number, frame in enumerate(frames := frames_of(path)):
        x, y = media_samples.place(SIZE, number).middle
        assert np.abs(media_samples.colour_at(frame, x, y) - media_samples.RED).max() < 75
    assert len(frames) == 20


def test_an_avi_whose_frames_are_reordered_keeps_their_pace(tmp_path: Path) -> None:
    path = media_samples.write(tmp_path / "kitchen.avi", count=40, size=SIZE, time_base=Fraction(1, 30))
    with av.open(path) as file:  # otherwise there is nothing to test
        assert any(frame.pict_type == PictureType.B for frame in file.decode(video=0))
    with open_film(path) as opened:
        frames = [item for item in read_film(opened) if isinstance(item, av.VideoFrame)]
        assert opened.losses == Losses()
    times = [frame.pts for frame in frames if frame.pts is not None]
    assert [b - a for a, b in itertools.pairwise(times)] == [1] * 39
    for number, frame in enumerate(frames):
        x, y = media_samples.place(SIZE, number).middle
        assert np.abs(media_samples.colour_at(frame, x, y) - media_samples.RED).max() < 75


def test_an_avi_with_dropped_frames_is_whole(tmp_path: Path) -> None:
    pts = [*range(20), *range(50, 60)]
    path = media_samples.write(
        tmp_path / "a.avi", count=30, size=SIZE, codec="mpeg4", pts=pts, time_base=Fraction(1, 30)
    )
    with open_film(path) as opened:
        frames = [item for item in read_film(opened) if isinstance(item, av.VideoFrame)]
        assert opened.losses == Losses()
    first = frames[0].pts or 0
    assert [(frame.pts or 0) - first for frame in frames] == pts


def test_an_empty_packet_is_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "still.nut"
    source = media_samples.write(tmp_path / "a.mkv", count=9, size=SIZE, codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(source) as whole, av.open(path, "w") as file:
        stream = file.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(packet for packet in whole.demux(video=0) if packet.size):
            kept = packet if number != 4 else av.Packet(b"")  # Theora's 'repeat the last frame'
            kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
            kept.stream = stream
            file.mux(kept)
    with open_film(path) as opened:
        assert sum(isinstance(item, av.VideoFrame) for item in read_film(opened)) == 8
        assert opened.losses == Losses()


@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "libx264"), (".mpg", "mpeg2video")])
def test_a_container_with_an_mpeg_clock_begins_at_0(tmp_path: Path, suffix: str, codec: str) -> None:
    pts = [5 * 30 + 15 + n for n in range(20)]  # half a second behind the sound
    path = media_samples.write(
        tmp_path / f"a{suffix}",
        pts=pts,
        time_base=Fraction(1, 30),
        size=SIZE,
        codec=codec,
        sound="mp2",
        sound_from=5,
    )
    with open_film(path) as opened:
        items = list(read_film(opened))
    seen = [_seconds(item) for item in items if isinstance(item, av.VideoFrame)]
    heard = [_seconds(item) for item in items if isinstance(item, av.Packet)]
    assert heard[0] == 0
    assert seen == pytest.approx([0.5 + n / 30 for n in range(20)], abs=0.03)


def _seconds(item: av.VideoFrame | av.Packet[Any]) -> float:
    assert item.pts is not None
    assert item.time_base is not None
    return float(item.pts * item.time_base)


@pytest.mark.parametrize("size", [SIZE, (1280, 720)])
def test_rgb_films_keep_their_colours(tmp_path: Path, size: tuple[int, int]) -> None:
    path = media_samples.write(tmp_path / "screen.mkv", count=2, size=size, codec="ffv1", pix_fmt="bgr0")
    frame = frames_of(path)[0]
    assert Colour.of(frame) == Colour("bt709", full_range=False)
    found = media_samples.colour_at(frame, *media_samples.place(size).middle, matrix="bt709")
    assert np.abs(found - media_samples.RED).max() < 6


def test_yuv_that_is_tagged_as_rgb_becomes_untagged_yuv(tmp_path: Path) -> None:
    path = tmp_path / "kitchen.mp4"
    with av.open(path, "w") as file:
        video = file.add_stream("libx264", 30)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.options = {"x264-params": "colormatrix=GBR"}
        for number in range(3):
            file.mux(video.encode(media_samples.frame(media_samples.spot(SIZE, number), number * media_samples.STEP)))
        file.mux(video.encode(None))
    copied = media_samples.read(copy(path, tmp_path / "copy.mp4"))
    assert [(shot.frame.format.name, int(shot.frame.colorspace)) for shot in copied] == [("yuv420p", 2)] * 3
    x, y = media_samples.place(SIZE, 1).middle
    assert np.abs(media_samples.colour_at(copied[1].frame, x, y) - media_samples.RED).max() < 45


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    path = tmp_path / "tape.mp4"
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", 25)
        stream.width, stream.height = 72, 64
        stream.sample_aspect_ratio = stream.codec_context.sample_aspect_ratio = Fraction(16, 9)
        file.mux([*stream.encode(media_samples.frame(media_samples.spot((72, 64)))), *stream.encode(None)])
    assert [(f.width, f.height) for f in frames_of(path)] == [(128, 64)]


def test_pixels_of_an_absurd_shape_make_no_enormous_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tape.mp4"
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", 25)
        stream.width, stream.height = 72, 64
        stream.sample_aspect_ratio = stream.codec_context.sample_aspect_ratio = Fraction(20)
        file.mux([*stream.encode(media_samples.frame(media_samples.spot((72, 64)))), *stream.encode(None)])
    monkeypatch.setattr(preparation, "MAX_PIXELS", 1000 * 64)
    assert [(f.width, f.height) for f in frames_of(path)] == [(1000, 64)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nkitchen.mp4\n#EXT-X-ENDLIST\n"),
        ("list.mp4", b"ffconcat version 1.0\nfile kitchen.mp4\n"),
        ("song.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    ],
)
def test_a_file_that_names_another_one_is_not_followed(tmp_path: Path, name: str, content: bytes) -> None:
    media_samples.write(tmp_path / "kitchen.mp4", size=SIZE)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=r"cannot be read as a video|has no video stream|of an unknown kind"):
        open_film(tmp_path / name)


def test_a_film_of_enormous_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = media_samples.write(tmp_path / "kitchen.mp4", size=SIZE)
    monkeypatch.setattr(film_reader, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(MediaError, match=r"kitchen\.mp4 is 64 x 48; at most"):
        open_film(path)


def test_frames_that_become_enormous_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "joined.h264"
    parts = [media_samples.write(tmp_path / f"{w}.h264", count=10, size=(w, 48)) for w in (64, 640)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    monkeypatch.setattr(film_reader, "MAX_PIXELS", 100 * 48 * 2)
    assert {frame.width for frame in frames_of(path)} == {64}


def test_a_cover_picture_is_no_film(tmp_path: Path) -> None:
    with av.open(tmp_path / "song.m4a", "w", format="mp4") as file:
        cover = file.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        picture = media_samples.frame(media_samples.spot(SIZE), full_range=True, pix_fmt="yuvj420p")
        file.mux([*cover.encode(picture), *cover.encode(None)])
    with pytest.raises(MediaError, match=r"has no video stream"):
        open_film(tmp_path / "song.m4a")


class Pipe(io.RawIOBase):
    """Gives a file's bytes once, as standard input does."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def read(self, size: int | None = -1) -> bytes:
        return self._file.read(-1 if size is None else size)

    def close(self) -> None:
        self._file.close()


def frames_held() -> int:
    return sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())


def test_a_frame_is_freed_without_the_garbage_collector(tmp_path: Path) -> None:
    path = media_samples.write(tmp_path / "kitchen.mov", count=60, size=SIZE, turn=90)
    gc.collect()
    gc.disable()  # it runs seldom, and a few objects hold much memory
    before = frames_held()
    try:
        with open_film(path) as opened:
            for _ in read_film(opened):
                pass
        assert frames_held() - before < 10
    finally:
        gc.enable()


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".webm"])
def test_a_stream_is_read_without_seeking(tmp_path: Path, suffix: str) -> None:
    path = media_samples.write(
        tmp_path / f"kitchen{suffix}", count=25, size=SIZE, codec="libvpx" if suffix == ".webm" else "libx264"
    )
    with Pipe(path) as pipe, open_film(pipe) as opened:  # type: ignore[arg-type] # a BinaryIO has more
        assert sum(isinstance(item, av.VideoFrame) for item in read_film(opened)) == 25
        assert not opened.losses.missing


def test_the_error_for_a_stream_with_its_index_at_the_end_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "kitchen.mp4"  # larger than FFmpeg's buffer
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", 30, options={"crf": "5"})
        stream.width, stream.height = 320, 240
        for number in range(20):
            picture = media_samples.frame(media_samples.noise((320, 240), number))
            picture.pts, picture.time_base = number, Fraction(1, 30)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
    with (
        Pipe(path) as pipe,
        open_film(pipe) as opened,  # type: ignore[arg-type]
        pytest.raises(MediaError, match="An MP4 from a pipe needs its index in front"),
    ):
        list(read_film(opened))


def test_a_stream_that_stalls_ends_when_it_is_stopped(tmp_path: Path) -> None:
    path = media_samples.write(tmp_path / "kitchen.ts", count=30, size=SIZE)
    stop = threading.Event()
    read, write = os.pipe()
    with open(write, "wb") as giver, open(read, "rb") as taker:
        giver.write(path.read_bytes())
        giver.flush()  # and stays open
        threading.Timer(0.5, stop.set).start()
        with open_film(taker, stop) as opened:
            assert sum(isinstance(item, av.VideoFrame) for item in read_film(opened)) == 30


def test_a_stream_without_any_data_can_be_stopped() -> None:
    stop = threading.Event()
    read, write = os.pipe()
    with open(write, "wb"), open(read, "rb") as taker:
        threading.Timer(0.5, stop.set).start()
        with pytest.raises(MediaError, match="cannot be read as a video"):
            open_film(taker, stop)

"""Reads film files: which may be opened, their frames (upright, 8 bits, standard range) and the sound between them."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from whycam.stream.media.address import ADVICE, Address, connect
from whycam.stream.media.clock import MPEG, Clock, Kind, empty
from whycam.stream.media.extent import Extent
from whycam.stream.media.frame_timing import Timeline
from whycam.stream.media.frames.deinterlacer import Deinterlacer
from whycam.stream.media.frames.preparation import LARGE_PIXELS, MAX_PIXELS, Preparation
from whycam.stream.media.losses import Losses, MediaError, Reached
from whycam.stream.media.mpegts_pieces import Piece, next_piece, streams_of

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,dv,ivf,h264,hevc,mjpeg,obu,nut"
"""Containers that are opened, by FFmpeg's names: no playlists, scripts or formats that refer to other files."""
_SUFFIXES = (
    ".mov", ".qt", ".mp4", ".m4v", ".3gp", ".3g2", ".mj2", ".mkv", ".webm",
    ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".flv", ".ogg", ".ogv",
    ".asf", ".wmv", ".dv", ".dif", ".ivf", ".h264", ".264", ".hevc", ".h265", ".265", ".mjpeg", ".mjpg", ".obu", ".nut",
)  # fmt: skip
"""File name suffixes of films."""
# `scan_all_pmts` as in the ffmpeg program: otherwise late sound of an MPEG-TS is missed.
_OPTIONS = {"max_pixels": str(MAX_PIXELS), "scan_all_pmts": "1"}
_ONE_FRAME_PER_PACKET = frozenset({"h264", "hevc", "av1", "vp9", "mjpeg", "prores"})
ENOUGH, ENOUGH_PART = 30, 0.01
"""Frames, and fraction of the file, that must be read before the film's length is estimated."""
LARGE_THREADS = 2
"""Threads that decode large frames."""
DEINTERLACED = "It is interlaced; each frame was deinterlaced."
HOLE, HOLE_S = 1 << 16, 1
"""Gap in bytes or seconds between two frames of an MPEG-TS that may hide a piece with other streams."""


@dataclass(frozen=True, slots=True)
class Film:
    """An open video file."""

    name: str
    container: InputContainer
    video: VideoStream
    audio: AudioStream | None
    header_frames: int
    piped: bool = False
    losses: Losses = field(default_factory=Losses)
    reached: Reached = field(default_factory=Reached)
    path: Path | None = None
    """None for a stream that cannot seek."""
    pieces: ExitStack = field(default_factory=ExitStack)
    """Separately opened pieces of a joined film, closed with it."""
    end: int | None = None
    """Byte offset of the next piece, if known when the film is opened."""
    advice: str = ""
    """What to do if it has no frame; usual advice if empty."""

    @property
    def frames(self) -> int:
        """Number of frames by the header, or an estimate; 0 if unknown."""
        # A joined MPEG film's duration, by its clock, is that of its last piece, or days.
        if self.reached.frames < ENOUGH or self.reached.part < ENOUGH_PART:
            return self.header_frames
        so_far = self.reached.frames / self.reached.part
        return self.header_frames if 2 / 3 < self.header_frames / so_far < 3 / 2 else round(so_far)

    @property
    def time_base(self) -> Fraction:
        """Unit of the frames' pts, in seconds."""
        assert self.video.time_base is not None
        return self.video.time_base

    @property
    def rate(self) -> Fraction:
        """Average frames per second; 30 if unknown."""
        return self.video.average_rate or self.video.guessed_rate or Fraction(30)

    @property
    def stream_ids(self) -> tuple[int, int | None]:
        """Stream ids of video and audio in the file."""
        return self.video.id, self.audio.id if self.audio is not None else None

    @property
    def metadata(self) -> Mapping[str, str]:
        """The container's metadata, such as place, time and device."""
        return self.container.metadata

    def read(self) -> Iterator[av.VideoFrame | av.Packet[Any]]:
        """See `read_film`."""
        return read_film(self)

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.container.close()
        self.pieces.close()


class _Pipe:
    """A stream that cannot seek, such as standard input; it ends when `stop` is set."""

    def __init__(self, file: BinaryIO, stop: threading.Event | None) -> None:
        self._file = file
        self._stop = stop
        self._descriptor: int | None = None
        # Windows cannot wait for a pipe: there a stop takes effect when the next bytes arrive.
        if sys.platform != "win32":
            with suppress(OSError):  # a stream in memory has none
                self._descriptor = file.fileno()

    def read(self, size: int) -> bytes:
        if self._descriptor is None or self._stop is None:
            return self._file.read(size)
        while not self._stop.is_set():
            if select.select([self._descriptor], [], [], 0.2)[0]:
                return os.read(self._descriptor, size)
        return b""


def open_film(source: Path | BinaryIO | Address, stop: threading.Event | None = None) -> Film:
    """Open a video file, an address, or a stream without seeking, which ends when `stop` is set.

    Raises `MediaError`.
    """
    if isinstance(source, Address):
        film = _film_of(connect(source, FORMATS, _OPTIONS), source.name, None)
        return replace(film, advice=ADVICE)
    if isinstance(source, Path):
        if source.is_dir():
            raise MediaError(f"{source} is a folder. Give a video file.")
        if not source.is_file():
            raise MediaError(f"There is no file {source}.")
        if not source.stat().st_size:
            raise MediaError(f"{source} is empty (0 bytes).")
    name = source.name if isinstance(source, Path) else "The stream"
    try:
        if isinstance(source, Path):
            return _open_from(source, 0)
        container = _opened(_Pipe(source, stop))
    except PermissionError as error:
        raise MediaError(f"{name} cannot be read ({error.strerror}).") from error
    except (av.FFmpegError, OSError) as error:
        if isinstance(source, Path) and source.suffix.lower() not in _SUFFIXES:
            raise MediaError(
                f"{name} is of an unknown kind. Give a film (MOV, MP4, MKV, WebM, AVI, MPEG-TS and more), "
                "an image (JPEG, PNG, WebP, HEIC and more) or a folder of images."
            ) from error
        raise MediaError(
            f"{name} cannot be read as a video ({error.strerror}). {_advice(not isinstance(source, Path))}"
        ) from error
    return _film_of(container, name, None)


def _open_from(path: Path, begin: int) -> Film:
    """Open a file from byte `begin`; raises `MediaError`, `av.FFmpegError` or `OSError`."""
    file = Piece(path, begin, None) if begin else None
    film = _film_of(_opened(file or path), path.name, path, file)
    if film.container.format.name != "mpegts":
        return film
    first, streams = streams_of(path, begin, *film.stream_ids)
    end = next_piece(path, first, None, streams)
    if end is None:
        return film
    film.close()  # the next piece's tables would make FFmpeg mistake this one's streams
    file = Piece(path, begin, end)
    return replace(_film_of(_opened(file), path.name, path, file), end=end)


def _opened(file: Path | _Pipe | Piece) -> InputContainer:
    options = {**_OPTIONS, "format_whitelist": FORMATS, "protocol_whitelist": "file"}
    # Metadata in another encoding, or damaged, is no reason to refuse a film.
    return av.open(file, "r", options=options, metadata_errors="replace")


def _film_of(container: InputContainer, name: str, path: Path | None, file: Piece | None = None) -> Film:
    """Choose the streams; closes the container and raises `MediaError` if no video stream can be read."""
    videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not videos:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        container.close()
        raise MediaError(f"{name} has no video stream (found: {kinds}). Give a file with a picture.")
    video = next((stream for stream in videos if stream.codec_context), None)  # None: no decoder in FFmpeg
    if video is None:
        container.close()
        raise MediaError(f"{name} has video of an unknown codec. Convert it to H.264.")
    if video.codec_context.width * video.codec_context.height > MAX_PIXELS:
        size = f"{video.codec_context.width} x {video.codec_context.height}"
        container.close()
        raise MediaError(f"{name} is {size}; at most {MAX_PIXELS / 1e6:.0f} megapixels are allowed. Make it smaller.")
    # On some damaged films FFmpeg's HEVC decoder deadlocks with frame threading.
    video.thread_type = "SLICE" if video.codec_context.name == "hevc" else "AUTO"
    if video.codec_context.width * video.codec_context.height >= LARGE_PIXELS:
        video.codec_context.thread_count = LARGE_THREADS  # each has a frame of its own
    video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    seconds = float((video.duration or 0) * (video.time_base or 0)) or (container.duration or 0) / av.time_base
    frames = video.frames or round(seconds * float(video.average_rate or 0))
    audio = next((stream for stream in container.streams.audio if stream.codec_context is not None), None)
    losses = Losses(silent=audio is None and bool(container.streams.audio))
    film = Film(name, container, video, audio, frames, path is None, losses, path=path)
    if file is not None:
        film.pieces.enter_context(file)
    return film


def _advice(piped: bool) -> str:
    if piped:
        return "An MP4 from a pipe needs its index in front. Give the file itself, or pipe Matroska or MPEG-TS."
    return "It may be cut off or damaged, or not a video."


def read_film(film: Film) -> Iterator[av.VideoFrame | av.Packet[Any]]:
    """The film in file order: upright yuv420p frames of even size, and the sound's packets between them.

    The frames' pts increase. At the end `film.losses` lists what could not be read; raises `MediaError` if no frame
    could be decoded.
    """
    frames, extent, cut = _Frames(film), Extent(film.container, film.video, film.audio, film.rate), False
    clock = Clock(film.container.format.name, Fraction(film.container.start_time or 0, av.time_base))
    film.losses.joins = clock.joins
    try:
        for kind, packet in clock.line(_packets(film)):
            cut = packet.is_corrupt if packet.size else cut
            extent.note(packet)
            if kind == "audio" and packet.dts is not None:
                yield packet
            elif kind == "video":
                yield from frames.take(packet)
        film.losses.missing = extent.missing()
        film.losses.error = film.losses.error or ("its last packet is not whole" if cut else "")
    except av.FFmpegError as error:
        film.losses.missing = extent.missing()
        film.losses.error = error.strerror or str(error)
    finally:
        frames.count_losses()
    if not film.reached.frames:
        raise MediaError(f"{film.name} has no frame that can be decoded. {film.advice or _advice(film.piped)}")
    yield from frames.end()


class _Frames:
    """Decodes a film's video and makes its frames ready, in order and without gaps."""

    def __init__(self, film: Film) -> None:
        self._film = film
        self._prepare, self._prepared = Preparation.of(film.video), film.video
        self._deinterlace = Deinterlacer()
        whole = film.video.codec_context.codec.canonical_name in _ONE_FRAME_PER_PACKET
        self._timeline = Timeline(round(1 / film.rate / film.time_base), whole=whole)
        # An AVI stores no pts; with H.264 B-frames the pts that FFmpeg derives are out of order.
        self._has_pts = film.container.format.name != "avi"

    def take(self, packet: av.Packet[Any]) -> Iterator[av.VideoFrame]:
        """The frames that are ready after a packet; an empty one ends a piece, which is decoded separately."""
        ends = not packet.size and packet.dts is None
        if not packet.size and not ends:
            return  # the last frame is shown on
        if not packet.is_discard:
            self._timeline.expect(packet.pts if self._has_pts else packet.dts)
        for frame in _decoded(packet, self._timeline):
            self._film.reached.frames += 1
            if not self._has_pts:
                frame.pts = frame.dts
            for progressive in self._deinterlace(frame):
                yield from self._placed(progressive, packet)
        if ends:
            for progressive in self._deinterlace.flush():
                yield from self._placed(progressive, packet)
            packet.stream.codec_context.flush_buffers()  # another piece may follow

    def _placed(self, frame: av.VideoFrame, packet: av.Packet[Any]) -> Iterator[av.VideoFrame]:
        if packet.stream is not self._prepared:
            self._prepare, self._prepared = Preparation.of(packet.stream), packet.stream
        repaired = frame.is_corrupt
        yield from self._timeline.place(self._prepare(frame), repaired=repaired, is_of_fields=self._deinterlace.used)

    def count_losses(self) -> None:
        """Note in the film's losses what could not be read."""
        losses = self._film.losses
        losses.concealed, losses.lost = self._timeline.concealed, self._timeline.lost
        if self._deinterlace.used and DEINTERLACED not in losses.notes:
            losses.notes.append(DEINTERLACED)

    def end(self) -> Iterator[av.VideoFrame]:
        """The remaining frames."""
        for frame in self._deinterlace.flush():  # after an error there was no last packet
            yield from self._timeline.place(self._prepare(frame), is_of_fields=True)
        yield from self._timeline.end()
        self.count_losses()


def _packets(film: Film) -> Iterator[tuple[Kind, av.Packet[Any]]]:
    """All packets; a piece ends with an empty packet of its streams."""
    size = film.path.stat().st_size if film.path is not None and film.container.format.name in MPEG else 0
    begin: int | None = 0
    piece: Film | None = film
    while piece is not None and begin is not None:
        following = None
        for packet, next_begin in _until_next(piece, begin):
            following = next_begin
            if packet.stream is piece.video:
                yield "video", packet
                film.reached.part = (begin + packet.pos) / size if size and packet.pos else film.reached.part
            elif packet.stream is piece.audio and film.audio is not None:
                yield "audio", packet
            else:
                if packet.stream is piece.audio:  # too late: the result has no track for it
                    film.losses.unheard += float((packet.duration or 0) * (packet.time_base or 0))
                yield "other", packet
        begin = following
        piece = _open_piece(film, begin) if begin is not None else None


def _until_next(piece: Film, begin: int) -> Iterator[tuple[av.Packet[Any], int | None]]:
    """A piece's packets; the last, empty ones carry the offset of the next piece, which FFmpeg would skip."""
    if piece.path is None or piece.container.format.name != "mpegts":
        yield from ((packet, None) for packet in _demuxed(piece.container))
        return
    _, streams = streams_of(piece.path, begin, *piece.stream_ids)
    behind, last = begin, None
    following = piece.end
    for packet in _demuxed(piece.container):
        if packet.stream is piece.video and packet.pos is not None and packet.dts is not None:
            at = begin + packet.pos
            step = 0.0 if last is None else float((packet.dts - last) * piece.time_base)
            if piece.end is None and (at - behind > HOLE or not 0 <= step < HOLE_S):
                following = next_piece(piece.path, behind, at, streams)
                if following is not None:
                    break
            behind, last = max(behind, at), packet.dts
        elif not packet.size:
            following = following or next_piece(piece.path, behind, None, streams)
        yield packet, following
    else:
        return
    yield empty(piece.video), following


def _demuxed(container: InputContainer) -> Iterator[av.Packet[Any]]:
    try:
        yield from container.demux()
    except IndexError:
        # PyAV raises it for a stream that appeared during the film; the known streams have ended by then.
        return


def _open_piece(film: Film, begin: int) -> Film | None:
    """The piece at byte `begin` of a film's file; if it cannot be read, None, and `losses.error` is set."""
    assert film.path is not None
    try:
        return film.pieces.enter_context(_open_from(film.path, begin))
    except (MediaError, av.FFmpegError, OSError) as error:
        film.losses.error = f"what begins at byte {begin} cannot be read: {error}"
        return None


def _decoded(packet: av.Packet[Any], timeline: Timeline) -> Iterator[av.VideoFrame]:
    try:
        for frame in packet.decode():
            assert isinstance(frame, av.VideoFrame)
            yield frame
    except av.FFmpegError:
        timeline.note_error()

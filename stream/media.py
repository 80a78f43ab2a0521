"""Video files: upright frames out of one, frames and the original sound into another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from stream.planes import as_bytes, planes

COPIED_AUDIO = frozenset({"aac", "mp3", "alac", "ac3", "eac3", "opus"})
"""What an MP4 may hold as it is; other sound becomes AAC."""
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class MediaError(ValueError):
    """A file cannot be read or written; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Film:
    """An open video file; `frames` is what its header says, or an estimate, or 0 where nobody knows."""

    container: InputContainer
    video: VideoStream
    audio: AudioStream | None
    frames: int

    @property
    def time_base(self) -> Fraction:
        """Of the frames' pts."""
        assert self.video.time_base is not None
        return self.video.time_base

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.container.close()


def open_film(path: Path) -> Film:
    """Open a video; raises `MediaError`."""
    if path.is_dir():
        raise MediaError(f"{path} is a folder. Give a video file.")
    if not path.is_file():
        raise MediaError(f"There is no file {path}.")
    try:
        container = av.open(path)
    except (av.FFmpegError, OSError) as error:
        raise MediaError(f"{path.name} cannot be read as a video ({error.strerror}).") from error
    if not container.streams.video:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        container.close()
        raise MediaError(f"{path.name} has no video stream (found: {kinds}). Give a file with a picture.")
    video = container.streams.video[0]
    video.thread_type = "AUTO"
    seconds = float((video.duration or 0) * (video.time_base or 0)) or (container.duration or 0) / av.time_base
    frames = video.frames or round(seconds * float(video.average_rate or 0))
    return Film(container, video, next(iter(container.streams.audio), None), frames)


def read_film(film: Film) -> Iterator[av.VideoFrame | av.Packet[Any]]:
    """The film in the order of the file: upright yuv420p frames of even size, and the sound's packets between them."""
    reformatter = VideoReformatter()
    streams = [film.video] if film.audio is None else [film.video, film.audio]
    for packet in film.container.demux(streams):
        if packet.stream is film.audio:
            if packet.dts is not None:
                yield packet
            continue
        for frame in packet.decode():
            assert isinstance(frame, av.VideoFrame)
            if frame.pts is None:
                continue
            yield _upright(frame if frame.format.name == "yuv420p" else reformatter.reformat(frame, format="yuv420p"))


def _upright(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame as it should be looked at; a last odd row or column, which H.264 cannot hold, is left out."""
    turn = _TURNS.get(frame.rotation % 360)
    if turn is None and not frame.width % 2 and not frame.height % 2:
        return frame
    swap = frame.rotation % 180 != 0
    width, height = (frame.height, frame.width) if swap else (frame.width, frame.height)
    upright = av.VideoFrame(width & ~1, height & ~1, "yuv420p")
    for to, plane in zip(planes(upright), planes(frame), strict=True):
        turned = plane if turn is None else as_bytes(cv2.rotate(plane, turn))
        np.copyto(to, turned[: to.shape[0], : to.shape[1]])
    upright.pts, upright.time_base = frame.pts, frame.time_base
    upright.colorspace, upright.color_range = frame.colorspace, frame.color_range
    return upright


class FilmWriter:
    """Writes an MP4 of H.264 and a film's own sound; it gets its name when it is whole.

    Time stamps are kept: those of a phone do not begin at 0, and sound and picture are in step only as they are.
    """

    def __init__(self, path: Path, film: Film) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._film = film
        try:
            self._part.touch()  # the container opens it with the first frame only
            # A movie begins at its first pts, which is written in the movie's own time scale.
            options = {"movflags": "+faststart", "movie_timescale": str(film.time_base.denominator)}
            self._container = av.open(self._part, "w", format="mp4", options=options)
        except OSError as error:
            raise MediaError(f"{path} cannot be written ({error.strerror}).") from error
        self._video: VideoStream | None = None
        self._sound: AudioStream | None = None
        self._encode_sound = False
        if film.audio is not None:
            self._encode_sound = film.audio.codec_context.codec.canonical_name not in COPIED_AUDIO
            if self._encode_sound:
                self._sound = self._container.add_stream("aac", rate=film.audio.rate)
            else:
                self._sound = self._container.add_stream_from_template(film.audio)
            self._sound.metadata.clear()
        self._early: list[av.Packet[AudioStream]] = []

    def write(self, frame: av.VideoFrame) -> None:
        """Encode a frame."""
        if self._video is None:
            self._video = self._open(frame)
            for packet in self._early:
                self.write_sound(packet)
            self._early.clear()
        frame.pict_type = 0  # the encoder chooses, not the picture's past
        self._container.mux(self._video.encode(frame))

    def write_sound(self, packet: av.Packet[AudioStream]) -> None:
        """Add a packet of the film's sound."""
        if self._sound is None:
            return
        if self._video is None:  # an MP4's header needs all streams
            self._early.append(packet)
        elif self._encode_sound:
            for frame in packet.decode():
                self._container.mux(self._sound.encode(frame))
        else:
            packet.stream = self._sound
            self._container.mux(packet)

    def _open(self, frame: av.VideoFrame) -> VideoStream:
        film = self._film
        video = self._container.add_stream("libx264", options={"preset": "veryfast", "crf": "23"})
        video.width, video.height = frame.width, frame.height
        video.pix_fmt = "yuv420p"
        video.time_base = video.codec_context.time_base = film.time_base
        video.codec_context.framerate = film.video.average_rate or Fraction(30)
        video.codec_context.colorspace, video.codec_context.color_range = frame.colorspace, frame.color_range
        return video

    def close(self) -> None:
        """Finish the file and give it its name; raises `MediaError` where no frame was written."""
        if self._video is None:
            self.discard()
            raise MediaError(f"{Path(self._film.container.name).name} has no frame that can be decoded.")
        self._container.mux(self._video.encode(None))
        if self._sound is not None and self._encode_sound:
            self._container.mux(self._sound.encode(None))
        self._container.close()
        os.replace(self._part, self._path)

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError, av.FFmpegError):  # on a full disk the file cannot be finished either
            self._container.close()
        self._part.unlink(missing_ok=True)

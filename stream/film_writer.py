"""Writes a film: frames and the original's sound, in an MP4 that gets its name when it is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream

from stream.media import Film, MediaError
from stream.planes import fitted

COPIED_AUDIO = frozenset({"aac", "mp3", "alac", "ac3", "eac3", "opus"})
"""What an MP4 may hold as it is; other sound becomes AAC."""
AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Of the channels that are encoded. Players know no others, and AVI and WMA say only how many there are."""
MAX_EARLY = 10_000
"""Packets of sound that are kept until the first frame comes: minutes."""


class FilmWriter:
    """Writes an MP4 of H.264 and a film's own sound; it gets its name when it is whole.

    Time stamps are kept: those of a phone do not begin at 0, and sound and picture are in step only as they are.
    `rate` says how many frames a second come where they are not those of the film; their pts then count in 1/rate.
    Location, names and other metadata stay out unless `keep_metadata`. The picture has the first frame's size; others
    are fitted into it with black beside them. Raises `MediaError` where `path` cannot be written.
    """

    def __init__(self, path: Path, film: Film, *, rate: Fraction | None = None, keep_metadata: bool = False) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._film = film
        self._rate = rate or film.rate
        self._time_base = 1 / rate if rate else film.time_base
        self._reformatter = VideoReformatter()
        self._video: VideoStream | None = None
        self._sound: AudioStream | None = None
        self._encode_sound = False
        self._early: list[av.Packet[AudioStream]] = []
        self._container: OutputContainer | None = None
        try:
            self._part.touch()  # the container opens it with the first frame only
            self._container = self._opened(keep_metadata)
            if film.audio is not None:
                self._sound = self._sound_track(film.audio)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.discard()
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{path} cannot be written ({reason}).") from error

    def _opened(self, keep_metadata: bool) -> OutputContainer:
        # A movie begins at its first pts, which is written in the movie's own time scale.
        options = {
            "movflags": "+faststart+use_metadata_tags" if keep_metadata else "+faststart",
            "movie_timescale": str(self._film.time_base.denominator),
        }
        container = av.open(self._part, "w", format="mp4", options=options)
        if keep_metadata:
            container.metadata.update(self._film.container.metadata)
        return container

    def _sound_track(self, audio: AudioStream) -> AudioStream:
        assert self._container is not None
        self._encode_sound = audio.codec_context.codec.canonical_name not in COPIED_AUDIO
        if self._encode_sound:
            rates = av.Codec("aac", "w").audio_rates or []
            sound = self._container.add_stream("aac", rate=audio.rate if audio.rate in rates else 48_000)
            sound.codec_context.layout = AAC_LAYOUTS.get(audio.codec_context.layout.nb_channels, "stereo")
        else:
            sound = self._container.add_stream_from_template(audio)
        sound.metadata.clear()
        return sound

    def write(self, frame: av.VideoFrame) -> None:
        """Encode a frame, yuv420p or rgb24."""
        assert self._container is not None
        if frame.format.name == "rgb24":
            colour = {"dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
            frame = self._reformatter.reformat(frame, format="yuv420p", **colour)
            frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
        if self._video is None:
            self._video = self._picture_track(frame)
            for packet in self._early:
                self.write_sound(packet)
            self._early.clear()
        frame = fitted(frame, self._video.width, self._video.height)
        frame.pict_type = 0  # the encoder chooses, not the picture's past
        self._container.mux(self._video.encode(frame))

    def write_sound(self, packet: av.Packet[AudioStream]) -> None:
        """Add a packet of the film's sound; one that cannot be read is left out."""
        if self._sound is None:
            return
        assert self._container is not None
        if self._video is None:  # an MP4's header needs all streams
            if len(self._early) < MAX_EARLY:
                self._early.append(packet)
        elif self._encode_sound:
            with suppress(av.InvalidDataError):
                for frame in packet.decode():
                    self._container.mux(self._sound.encode(frame))
        else:
            packet.stream = self._sound
            with suppress(av.ArgumentError, av.InvalidDataError):  # its time goes back, or it is damaged
                self._container.mux(packet)

    def _picture_track(self, frame: av.VideoFrame) -> VideoStream:
        assert self._container is not None
        video = self._container.add_stream("libx264", options={"preset": "veryfast", "crf": "23"})
        video.width, video.height = frame.width, frame.height
        video.pix_fmt = "yuv420p"
        video.time_base = video.codec_context.time_base = self._time_base
        video.codec_context.framerate = self._rate
        context = video.codec_context
        context.colorspace, context.color_range = frame.colorspace, frame.color_range
        # Left out where the original says nothing, or something that is reserved.
        context.color_trc = frame.color_trc or ColorTrc.UNSPECIFIED
        context.color_primaries = frame.color_primaries or ColorPrimaries.UNSPECIFIED
        return video

    def close(self) -> None:
        """Finish the file and give it its name; raises `MediaError` where no frame was written."""
        assert self._container is not None
        if self._video is None:
            self.discard()
            raise MediaError(f"{self._film.name} has no frame that can be decoded.")
        self._container.mux(self._video.encode(None))
        if self._sound is not None and self._encode_sound:
            self._container.mux(self._sound.encode(None))
        self._container.close()
        os.replace(self._part, self._path)

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._container is not None:
            with suppress(OSError, av.FFmpegError):  # on a full disk the file cannot be finished either
                self._container.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

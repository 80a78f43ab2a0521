"""Writes a film: frames and the original's sound, in an MP4 that gets its name when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from whycam.stream.media.frames.preparation import LARGE_PIXELS
from whycam.stream.media.images.mark import FILM_KEY, MARK, OWN_KEY
from whycam.stream.media.journal import Coded, Journal, KeptFilm, VideoParameters, parameter_sets
from whycam.stream.media.losses import Losses, MediaError
from whycam.stream.media.sound import Coding, DamagedSound, Resampler, Transcoder, check_form, settle_layout
from whycam.stream.video.planes import fitted

COPIED_AUDIO = frozenset({"aac", "mp3", "alac", "ac3", "eac3", "opus"})
"""Codecs that are copied into the MP4; other sound is encoded as AAC."""
MAX_SIDE = 16_384
"""Most pixels of a side that x264 encodes."""
MAX_STEP = (1 << 31) - 1
"""Most units of time from one frame of an MP4 to the next, and from its decoding to its display."""
LONGEST_S = 3600
"""Seconds that a frame may be shown by its own statement; more is damage, and too long for an MP4."""
MAX_EARLY = 10_000
"""Sound packets kept until the first frame arrives; some minutes of sound."""


X264 = {"preset": "superfast", "crf": "24"}
"""SSIM as of `veryfast` at 23, in half the time, with files a seventh larger (docs/process.md)."""


LARGE = {"bf": "0", "refs": "1"}
"""For large frames: x264 keeps several times a frame's size of each that waits for another one."""


class Original(Protocol):
    """What a copy takes over from the original film."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    @property
    def time_base(self) -> Fraction:
        """Unit of the frames' pts, in seconds."""

    @property
    def rate(self) -> Fraction:
        """Average frames per second."""

    @property
    def audio(self) -> AudioStream | None:
        """Its audio stream; None without sound."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The container's metadata, such as place, time and device."""

    @property
    def losses(self) -> Losses:
        """What could not be read so far; sound that cannot be decoded is added to it."""


def journal_of(path: Path) -> Path:
    """Path of the journal of a film that is being written."""
    return path.with_name(path.name + ".journal")


class FilmWriter:
    """Writes an MP4 of H.264 and a film's own sound; it gets its name when it is complete.

    Until then `journal_of(path)` keeps what was encoded; `kept` is such a journal, or a stopped film, whose first
    frames are taken over by `skip`.

    Time stamps are kept: a phone's do not begin at 0, and sound and video are in sync only with the original ones.
    `rate` is the frames per second where it differs from the film's; pts then count in 1/rate. Location, names and
    other metadata are dropped unless `keep_metadata`. The video has the first frame's size; others are fitted into it
    with black bars. Raises `MediaError` if `path` cannot be written.
    """

    def __init__(
        self,
        path: Path,
        film: Original,
        *,
        rate: Fraction | None = None,
        keep_metadata: bool = False,
        kept: KeptFilm | None = None,
        count: int = 0,
    ) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._kept = kept
        self._again = kept.packets() if kept is not None else iter(())
        self._resumed = kept is not None and kept.path == journal_of(path)
        self._journal: Journal | None = None
        self._last_dts: int | None = None
        self._durations: dict[int, int] = {}  # of frames in the encoder, by pts
        self._held: av.Packet[Any] | None = None  # the newest packet: the last one gets another duration
        self._first: tuple[int, int] | None = None
        self._end = 0
        self._last_sound: int | None = None
        self._packet_s = 0.0  # length of the newest packet of sound
        self._heard_at: float | None = None
        self._lost_from: float | None = None  # since when sound is lost whose length is not known yet
        self._film = film
        self._rate = rate or film.rate
        self._time_base = 1 / rate if rate else film.time_base
        self._reformatter = VideoReformatter()
        self._video: VideoStream | None = None
        self._sound: AudioStream | None = None
        self._encode_sound = False
        self._resampler = Resampler()
        self._coding: Coding | None = None
        self._transcoders: dict[Coding, Transcoder] = {}
        self._early: list[av.Packet[AudioStream]] = []
        self._container: OutputContainer | None = None
        try:
            self._part.touch()  # the container opens it only with the first frame
            resume_at = kept.end_of(count) if kept is not None and self._resumed else None
            self._journal = Journal(journal_of(path), resume_at=resume_at)
            self._container = self._opened(keep_metadata)
            if film.audio is not None:
                self._sound = self._sound_track(film.audio)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.discard()
            reason = getattr(error, "strerror", None) or error
            raise MediaError(f"{path} cannot be written ({reason}).") from error

    def _opened(self, keep_metadata: bool) -> OutputContainer:
        # A movie's start, its first pts, is stored in the movie's own time scale.
        options = {
            "movflags": "+faststart+use_metadata_tags" if keep_metadata else "+faststart",
            "movie_timescale": str(self._film.time_base.denominator),
        }
        container = av.open(self._part, "w", format="mp4", options=options)
        container.metadata[FILM_KEY] = MARK
        if keep_metadata:
            container.metadata.update(self._film.metadata)
            container.metadata[OWN_KEY] = MARK
        return container

    def _sound_track(self, audio: AudioStream) -> AudioStream | None:
        assert self._container is not None
        self._encode_sound = audio.codec_context.codec.canonical_name not in COPIED_AUDIO
        layout = settle_layout(audio) if self._encode_sound else ""
        if layout is None or not audio.codec_context.sample_rate:  # damaged: a track needs a rate
            self._film.losses.silent = True
            return None
        if self._encode_sound:
            rates = av.Codec("aac", "w").audio_rates or []
            sound = self._container.add_stream("aac", rate=audio.rate if audio.rate in rates else 48_000)
            sound.codec_context.layout = layout
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
        video = self._video or self._begin(VideoParameters.of(frame))
        frame = fitted(frame, video.width, video.height)
        frame.pict_type = 0  # the encoder chooses, not the original
        self._note_duration(frame)
        self._put(video.encode(frame))

    def _note_duration(self, frame: av.VideoFrame) -> None:
        """Keep how long the frame is shown: the muxer knows it of all frames but the last."""
        if frame.pts is not None and frame.time_base and 0 < frame.duration * frame.time_base < LONGEST_S:
            self._durations[frame.pts] = round(frame.duration * frame.time_base / self._time_base)

    def skip(self, frame: av.VideoFrame) -> None:
        """Take over the next frame, `frame` of the original, from those that were kept."""
        assert self._kept is not None
        self._note_duration(frame)
        video = self._video or self._begin(self._kept.picture)
        coded = next(self._again)
        packet = av.Packet(coded.data)
        packet.stream, packet.time_base = video, self._time_base
        packet.pts, packet.dts, packet.is_keyframe = coded.pts, coded.dts, coded.is_keyframe
        self._put([packet], new=not self._resumed)

    def _put(self, packets: Iterable[av.Packet[Any]], *, new: bool = True) -> None:
        assert self._container is not None
        assert self._journal is not None
        for packet in packets:
            assert packet.pts is not None
            assert packet.dts is not None
            if self._last_dts is not None and packet.dts <= self._last_dts:
                packet.dts = self._last_dts + 1  # at the start of another encoder, whose first dts are early
            # A frame that is encoded before others of an earlier time has the jump in its own two times.
            jump = max(packet.pts - packet.dts, 0 if self._last_dts is None else packet.dts - self._last_dts)
            if jump > MAX_STEP:
                hours = float(jump * self._time_base) / 3600
                raise MediaError(
                    f"The times of {self._film.name} jump by {hours:.0f} hours, more than an MP4 can store."
                )
            self._last_dts = packet.dts
            packet.duration = self._durations.pop(packet.pts, packet.duration or 0)
            self._first = self._first or (packet.pts, packet.dts)
            self._end = max(self._end, packet.pts + packet.duration)
            if new:
                self._journal.write(Coded(packet.pts, packet.dts, bytes(packet), packet.is_keyframe))
            if self._held is not None:
                self._mux(self._held)
            self._held = packet

    def _mux(self, packet: av.Packet[Any]) -> None:
        """Add a packet, and those that waited for it: copied sound that the muxer refuses is counted.

        It may be damaged, or have channels that an MP4 cannot describe.
        """
        assert self._container is not None
        try:
            self._container.mux_one(packet)
        except (av.InvalidDataError, av.PatchWelcomeError):
            if self._sound is None or self._encode_sound:
                raise
            self._count_lost()

    def _put_last(self) -> None:
        """Write the last packet, in decoding order, so that the track ends with the frame that is shown last."""
        assert self._container is not None
        if self._held is None or self._first is None or self._held.dts is None:
            return
        pts, dts = self._first
        length = self._end - pts - (self._held.dts - dts)
        if 0 < length * self._time_base < LONGEST_S:
            self._held.duration = length
        self._mux(self._held)

    def write_sound(self, packet: av.Packet[AudioStream]) -> None:
        """Add a packet of the film's sound; one that cannot be decoded is dropped and counted."""
        if self._sound is None:
            return
        assert self._container is not None
        self._note_length(packet)
        if self._video is None:  # an MP4's header needs all streams
            if len(self._early) < MAX_EARLY:
                self._early.append(packet)
        elif self._encode_sound:
            try:
                encoded = [
                    each
                    for frame in packet.decode()
                    for samples in self._resampler(frame)
                    for each in self._sound.encode(samples)
                ]
            except (av.FFmpegError, ValueError):  # damaged, or with channels that cannot be mixed
                self._count_lost()
            else:
                self._put_sound(encoded)
        else:
            try:
                matched = list(self._matched(packet))
            except (av.FFmpegError, DamagedSound):
                self._count_lost()
            else:
                for copied in matched:
                    self._copy_sound(copied)

    def _note_length(self, packet: av.Packet[AudioStream]) -> None:
        """Keep how long a packet of sound lasts. Damage may hide that: then it lasts until the next one."""
        at = packet.pts if packet.pts is not None else packet.dts
        now = float(at * packet.time_base) if at is not None and packet.time_base else None
        if self._lost_from is not None and now is not None:
            self._film.losses.unheard += max(0.0, now - self._lost_from)
        self._lost_from = None
        self._packet_s = float((packet.duration or 0) * (packet.time_base or 0))
        self._heard_at = now

    def _count_lost(self) -> None:
        """Count the newest packet of sound."""
        self._film.losses.unheard += self._packet_s
        self._lost_from = None if self._packet_s else self._heard_at

    def _matched(self, packet: av.Packet[AudioStream]) -> Iterator[av.Packet[AudioStream]]:
        """A packet for the copied track: unchanged, or transcoded to the first packet's coding."""
        assert self._film.audio is not None
        check_form(packet)
        coding = Coding.of(packet)
        self._coding = self._coding or coding
        if coding not in self._transcoders:
            yield from self._flush_transcoders()
        if coding == self._coding or not self._coding.is_known:
            yield packet
            return
        if coding not in self._transcoders:
            self._transcoders[coding] = Transcoder(self._coding, self._film.audio)
        yield from self._transcoders[coding].take(packet)

    def _flush_transcoders(self) -> Iterator[av.Packet[AudioStream]]:
        for transcoder in self._transcoders.values():
            yield from transcoder.flush()
        self._transcoders.clear()

    def _put_sound(self, packets: Iterable[av.Packet[AudioStream]]) -> None:
        """Add what was encoded; the original's times may overlap a little where FFmpeg guesses them."""
        assert self._container is not None
        for packet in packets:
            assert packet.dts is not None
            if self._last_sound is not None and packet.dts <= self._last_sound:
                packet.pts = packet.dts = self._last_sound + 1
            self._last_sound = packet.dts
            self._container.mux_one(packet)

    def _copy_sound(self, packet: av.Packet[AudioStream]) -> None:
        assert self._container is not None
        assert self._sound is not None
        packet.stream = self._sound
        with suppress(av.ArgumentError):  # its time goes back
            self._mux(packet)

    def _begin(self, picture: VideoParameters) -> VideoStream:
        """Add the video track, then the sound that arrived before it."""
        assert self._container is not None
        assert self._journal is not None
        if max(picture.width, picture.height) > MAX_SIDE:
            raise MediaError(
                f"The result would be {picture.width} x {picture.height}; H.264 has at most {MAX_SIDE} pixels on a "
                "side. Make the film smaller."
            )
        is_large = picture.width * picture.height >= LARGE_PIXELS
        self._video = video = self._container.add_stream("libx264", options=X264 | (LARGE if is_large else {}))
        video.time_base = self._time_base
        context = video.codec_context
        context.width, context.height, context.pix_fmt = picture.width, picture.height, "yuv420p"
        context.time_base, context.framerate = self._time_base, self._rate
        context.colorspace, context.color_range = picture.colorspace, picture.color_range
        context.color_trc, context.color_primaries = picture.color_trc, picture.color_primaries
        # Slices, PyAV's default, keep no second core busy, unless frames are large.
        context.thread_type = "SLICE" if is_large else "FRAME"
        context.open()
        if self._kept is not None and self._kept.parameter_sets != parameter_sets(context.extradata):
            raise MediaError(
                f"{self._path} was begun by another encoder and cannot be continued. Start again with --overwrite."
            )
        if not self._resumed:
            self._journal.begin(picture, context.extradata)
        for packet in self._early:
            self.write_sound(packet)
        self._early.clear()
        return video

    def close(self) -> None:
        """Finish the file and give it its name; raises `MediaError` if no frame was written."""
        assert self._container is not None
        if self._video is None:
            self.discard()
            raise MediaError(f"{self._film.name} has no frame that can be decoded.")
        self._put(self._video.encode(None))
        self._put_last()
        if self._sound is not None and self._encode_sound:
            for samples in self._resampler.flush():
                self._put_sound(self._sound.encode(samples))
            self._put_sound(self._sound.encode(None))
        for packet in self._flush_transcoders():
            self._copy_sound(packet)
        if self._lost_from is not None:
            self._film.losses.unheard += max(0.0, float(self._end * self._time_base) - self._lost_from)
        self._container.close()
        os.replace(self._part, self._path)
        self._forget_journal()

    def _forget_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
            journal_of(self._path).unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what was written, except a journal that existed before."""
        if self._journal is not None:
            self._journal.close()
            if not self._resumed:
                with suppress(OSError):
                    journal_of(self._path).unlink(missing_ok=True)
        if self._container is not None:
            with suppress(OSError, av.FFmpegError):  # on a full disk the file cannot be finished either
                self._container.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

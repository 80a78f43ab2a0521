"""A film's sound as a single track: its channel layout, and coding that changes, as between pieces of a joined film."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.logging
from av.audio.codeccontext import AudioCodecContext
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream

# Indexed by sampling_frequency_index and channel_configuration (ISO/IEC 14496-3, 1.6.3).
_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_LAYOUTS = (None, "mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1")
AAC_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Layout by number of channels. Players support no others, and AVI and WMA store only the number."""
_DECODED = {**AAC_LAYOUTS, 7: "6.1", 12: "7.1.4", 16: "hexadecagonal", 24: "22.2"}
"""Layout by number of channels, for sound whose order of channels has no name; FFmpeg can mix these."""


def settle_layout(sound: AudioStream) -> str | None:
    """The layout in which a film's sound is encoded; None if FFmpeg cannot mix so many channels.

    A decoder with a custom order of channels gets an ordinary one.

    PyAV frees a custom order twice, which ends the process: the properties `layout` of such a stream and of its frames
    must not be read. So the layout is taken from FFmpeg's description of the file, before a packet is decoded.
    """
    described = _described_layout(sound)
    number = re.match(r"(\d+) channels", described)
    count = int(number[1]) if number else AudioLayout(described).nb_channels
    if number and count not in _DECODED:
        return None
    if number:
        sound.codec_context.options = {**sound.codec_context.options, "ch_layout": _DECODED[count]}
    return AAC_LAYOUTS.get(count, "stereo")


def _described_layout(sound: AudioStream) -> str:
    """Such as `5.1`, `8 channels (FL+FR+FC+LFE+SL+SR+BL+BR)`, or `12 channels`."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)  # otherwise the description is empty
    try:
        lines: str = sound.container.dumps_format()  # type: ignore[attr-defined]
    finally:
        av.logging.set_level(before)
    where = rf"^  Stream #0:{sound.index}\D.*Audio: .* Hz, (\d+ channels(?: \([^)]*\))?|[^,\n]+)"
    found = re.search(where, lines, re.MULTILINE)
    return found[1].strip() if found else "stereo"


@dataclass(frozen=True, slots=True)
class Coding:
    """What all packets of a copied track must have in common."""

    codec: str
    rate: int = 0
    """Only for AAC, whose rate and layout an MP4 stores once; other codecs store them in each packet."""
    layout: str = ""

    @classmethod
    def of(cls, packet: av.Packet[Any]) -> Coding:
        """A packet's coding; for AAC by its ADTS header, if there is one (ISO/IEC 13818-7, 6.2)."""
        name = packet.stream.codec_context.codec.canonical_name
        head = bytes(memoryview(packet)[:4])
        if name != "aac" or len(head) < 4 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
            return cls(name)
        rate, channels = head[2] >> 2 & 15, (head[2] & 1) << 2 | head[3] >> 6
        return cls(name, _RATES[rate] if rate < len(_RATES) else 0, _LAYOUTS[channels] or "")

    @property
    def is_known(self) -> bool:
        """Whether other sound can be transcoded to it."""
        return self.codec != "aac" or bool(self.rate and self.layout)

    def adts(self, size: int) -> bytes:
        """The ADTS header of an AAC-LC packet of `size` bytes."""
        channels, size = _LAYOUTS.index(self.layout), size + 7
        third = 1 << 6 | _RATES.index(self.rate) << 2 | channels >> 2
        return bytes((0xFF, 0xF1, third, (channels & 3) << 6 | size >> 11, size >> 3 & 255, (size & 7) << 5 | 31, 0xFC))


class DamagedSound(Exception):
    """A packet of sound cannot be copied."""


def check_form(packet: av.Packet[Any]) -> None:
    """Raise `DamagedSound` for a packet that would make an MP4's muxer refuse other packets, or the whole film."""
    coding, context = Coding.of(packet), packet.stream.codec_context
    head = bytes(memoryview(packet)[:11])
    if coding.codec in ("ac3", "eac3") and not _has_ac3_header(head):
        raise DamagedSound
    if coding.codec != "aac":
        return
    # A stream that does not store its coding once has a header in each packet, and never a second one behind it.
    content = head[7 if head[1] & 1 else 9 :] if coding.rate else head
    has_second = len(content) >= 2 and content[0] == 0xFF and content[1] & 0xF0 == 0xF0
    if has_second or not (coding.rate or context.extradata):
        raise DamagedSound


def _has_ac3_header(head: bytes) -> bool:
    """Whether a packet of AC-3 or E-AC-3 begins as it must (ETSI TS 102 366, 4.4 and E.1.3)."""
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return False
    version, rate = head[5] >> 3, head[4] >> 6
    if version <= 10:
        return rate != 3 and head[4] & 63 < 38
    words = (head[2] & 7) << 8 | head[3]
    return version <= 16 and head[2] >> 6 != 3 and words > 2 and (rate != 3 or head[4] >> 4 & 3 != 3)


class Resampler:
    """Resamples audio frames to the first one's sample format, layout and rate."""

    def __init__(self) -> None:
        self._first: tuple[str, str, int] | None = None
        self._form: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None
        self._time_base: Fraction | None = None

    def __call__(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        """The frames that are ready."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._first is None:
            self._first, self._time_base = form, frame.time_base
        if form != self._form:
            yield from self.flush()
            self._form = form
            self._resampler = None if form == self._first else av.AudioResampler(*self._first)
        yield from [frame] if self._resampler is None else self._timed(self._resampler.resample(frame))

    def flush(self) -> Iterator[av.AudioFrame]:
        """The remaining frames, at the end."""
        if self._resampler is not None:
            yield from self._timed(self._resampler.resample(None))
        self._resampler, self._form = None, None

    def _timed(self, frames: Sequence[av.AudioFrame | None]) -> Iterator[av.AudioFrame]:
        """Frames in the first one's time base, which an encoder's own resampler assumes for all."""
        for frame in frames:
            if frame is None:
                continue
            if frame.pts is not None and frame.time_base and self._time_base:
                frame.pts = round(frame.pts * frame.time_base / self._time_base)
                frame.time_base = self._time_base
            yield frame


class Transcoder:
    """Transcodes packets to the coding of a copied track."""

    def __init__(self, coding: Coding, original: AudioStream) -> None:
        self._coding = coding
        context = av.CodecContext.create(coding.codec, "w")
        assert isinstance(context, AudioCodecContext)
        context.sample_rate = coding.rate or original.rate
        context.layout = coding.layout or original.layout.name
        context.format = (context.codec.audio_formats or [original.format])[0]
        self._encoder = context
        self._resampler = Resampler()
        self._begin: float | None = None

    def take(self, packet: av.Packet[AudioStream]) -> Iterator[av.Packet[AudioStream]]:
        """The packets that are ready; raises `av.FFmpegError` if the sound cannot be decoded."""
        for frame in packet.decode():
            if self._begin is None:
                self._begin = frame.time
            for each in self._resampler(frame):
                yield from self._coded(self._encoder.encode(each))

    def flush(self) -> Iterator[av.Packet[AudioStream]]:
        """The remaining packets, at the end."""
        if self._begin is None:
            return
        for each in self._resampler.flush():
            yield from self._coded(self._encoder.encode(each))
        yield from self._coded(self._encoder.encode(None))

    def _coded(self, packets: Sequence[av.Packet[AudioStream]]) -> Iterator[av.Packet[AudioStream]]:
        for packet in packets:
            if packet.pts is None or packet.time_base is None or self._begin is None:
                continue  # from damaged sound
            if packet.pts * packet.time_base < self._begin - 0.001:
                continue  # encoder priming, which overlaps the sound before
            data = bytes(packet)
            made: av.Packet[Any] = av.Packet(self._coding.adts(len(data)) + data if self._coding.rate else data)
            made.pts, made.dts, made.duration, made.time_base = (
                packet.pts,
                packet.dts,
                packet.duration,
                packet.time_base,
            )
            yield made

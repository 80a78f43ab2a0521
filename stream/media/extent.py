"""How much of a film its header announces, how much of that was read, and what is missing at the end."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

_STORE_DURATION = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv")
_TOLERANCE_S = Fraction(1, 4)
"""Sound and video seldom end together."""


class Extent:
    """Notes a film's packets; `missing` compares them with the header."""

    def __init__(self, container: InputContainer, video: VideoStream, audio: AudioStream | None, rate: Fraction):
        self._container = container
        self._rate = rate
        self._stored = {stream.index: stream.frames for stream in (video, audio) if stream is not None}
        self._frames = video.frames
        self._video = video.index
        self._read: Counter[int] = Counter()
        self._end = Fraction(0)
        self._last: Fraction | None = None
        self._longest = Fraction(0)

    def note(self, packet: av.Packet[Any]) -> None:
        """Note a packet; its times are those of the film's clock."""
        ticks, base = packet.dts if packet.pts is None else packet.pts, packet.time_base
        if ticks is None or base is None:
            return
        time = ticks * base
        self._end = max(self._end, time + (packet.duration or 0) * base)
        self._read[packet.stream.index] += bool(packet.size)
        if packet.stream.index == self._video:
            self._longest = max(self._longest, time - self._last) if self._last is not None else self._longest
            self._last = time

    def missing(self) -> float:
        """Seconds between the packets' end and the end by the header, if packets are missing there; otherwise 0."""
        duration, name = self._container.duration, self._container.format.name
        if name == "avi":  # FFmpeg shortens the duration of a cut-off file
            missing = self._frames / self._rate - self._end
        elif duration is not None and name in _STORE_DURATION:
            missing = Fraction(duration + (self._container.start_time or 0), av.time_base) - self._end
        else:
            return 0.0
        # The header may count another track, or more than a track has; an index lists the packets.
        if all(self._stored.values()) and all(self._read[index] >= count for index, count in self._stored.items()):
            return 0.0
        # Many containers do not store how long the last frame is shown.
        return float(missing) if missing > _TOLERANCE_S + max(2 / self._rate, self._longest) else 0.0

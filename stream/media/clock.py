"""A container's clock. Where it jumps back or ahead, a new segment begins; its times continue those of the last one.

Files joined end to end (`cat a.ts b.ts`), parts of a stream and captures with gaps have such clocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import av
from av.stream import Stream

MPEG = ("mpegts", "mpeg")
"""Containers, by FFmpeg's names, whose times wrap and begin anywhere, such as at ten hours."""
PERIOD = Fraction(1 << 33, 90_000)
"""Seconds after which such a clock wraps to 0 (ISO/IEC 13818-1, 2.4.3.7)."""
BACK_S = Fraction(1, 10)
"""An MPEG clock that jumps back by more than this begins a segment; FFmpeg's own limit. Less is a muxer's disorder."""
OTHERS_BACK_S = Fraction(1)
"""The same for other containers, where times out of order are common."""
LEAP_S = 30
"""An MPEG clock that jumps ahead by more seconds than this begins a segment. Slides change more often than that.

In other containers such a gap belongs to the film, such as a still picture in a screen recording."""
WAIT_S = 3
"""Seconds of a new segment to wait for the other streams, which are interleaved by less than a second."""
MAX_HELD = 4000
"""Most packets kept back in that time."""
MAX_SKEW_S = 1
"""Largest distance in time, in file order, between the streams of one segment."""
REORDERED = 16
"""Most frames that an H.264 or HEVC decoder holds back."""

Kind: TypeAlias = Literal["video", "audio", "other"]
"""A packet's content; `other` packets pass unchanged."""
Given: TypeAlias = "tuple[Kind, av.Packet[Any]]"


@dataclass(slots=True, eq=False)
class _Segment:
    """A run of continuous times, all in seconds of the container's clock."""

    opened: Fraction
    newest: Fraction
    begin: int | None
    """Byte offset of its first packet in the file; None if unknown."""
    end: int | None
    """Byte offset of its newest packet."""
    shift: Fraction | None = None
    """Added to its times; None until it is settled."""
    outlier: bool = False
    """Whether it is only a brief outlier, or a disorder, of one stream."""
    first: dict[Kind, Fraction] = field(default_factory=dict)
    """Earliest presentation time of each stream."""
    before: dict[Kind, tuple[_Segment, Fraction]] = field(default_factory=dict)
    """Per stream, the previous segment and where the stream ended in it."""
    waited: dict[Kind, Fraction] = field(default_factory=dict)
    """How far each stream has advanced since this segment was opened."""


@dataclass(slots=True)
class _Track:
    """Position of one stream."""

    segment: _Segment
    last: Fraction
    """Decoding time of its newest packet."""
    end: Fraction
    """Presentation end of its newest packet in its segment."""
    delay: Fraction = Fraction(0)
    """Its newest packet's presentation time minus its decoding time."""


class Clock:
    """Maps the times of a film's streams onto one continuous timeline, with the streams in sync.

    `start` is where an MPEG clock begins, in seconds: it becomes 0. A new segment is shifted as a whole, so far that no
    stream begins in it before it ended in the last one, and at least one continues without a gap.
    """

    def __init__(self, name: str, start: Fraction) -> None:
        self._mpeg = name in MPEG
        self._back = BACK_S if self._mpeg else OTHERS_BACK_S
        self._breaks = name != "avi"  # AVI stores no times
        self._segments: list[_Segment] = []  # the newest settled one, then those not yet settled
        self._first_shift = -start if self._mpeg else Fraction(0)
        self._tracks: dict[Kind, _Track] = {}
        self._held: deque[tuple[Kind, av.Packet[Any], _Segment]] = deque()
        self.joins: list[float] = []
        """Where the new segments begin, in seconds of the timeline."""

    def line(self, packets: Iterable[Given]) -> Iterator[Given]:
        """All packets in order; an empty one precedes a stream's first packet in a new segment, as at the end."""
        for kind, packet in packets:
            if self._breaks and kind != "other":
                yield from self._put(kind, packet)
            else:
                yield kind, packet
        for segment in tuple(self._segments):
            self._settle(segment)
        yield from self._released()

    def _put(self, kind: Kind, packet: av.Packet[Any]) -> Iterator[Given]:
        ticks, base = packet.pts if packet.dts is None else packet.dts, packet.time_base
        track = self._tracks.get(kind)
        if ticks is None or not base:  # keep it behind the packet before it
            if track is None or not self._held:
                yield kind, packet
            else:
                self._held.append((kind, packet, track.segment))
            return
        before = track.segment if track is not None else None
        track, time = self._located(kind, track, packet, ticks * base)
        # At a packet that is no keyframe, a jump ahead may be of the clock only; a jump back is another piece.
        if before not in (None, track.segment) and (packet.is_keyframe or time < before.newest):
            self._held.append((kind, empty(packet.stream), track.segment))
        if packet.pts is not None and packet.dts is not None:
            self._keep_delay(track, (packet.pts - packet.dts) * base, time, is_first=before is not track.segment)
            packet.pts = round((time + track.delay) / base)
        elif packet.pts is not None:
            packet.pts = round(time / base)
        packet.dts = None if packet.dts is None else round(time / base)
        self._held.append((kind, packet, track.segment))
        self._note(kind, track, packet, time)
        self._wait()
        yield from self._released()

    def _keep_delay(self, track: _Track, delay: Fraction, time: Fraction, *, is_first: bool) -> None:
        delay = self._difference(delay, Fraction(0))
        # In an MPEG program stream FFmpeg gives the last frame before a jump a pts from after it.
        longest = LEAP_S + REORDERED * (time - track.last)
        if not self._mpeg or is_first or -MAX_SKEW_S < delay < longest:
            track.delay = delay

    def _located(
        self, kind: Kind, track: _Track | None, packet: av.Packet[Any], time: Fraction
    ) -> tuple[_Track, Fraction]:
        """The track, in the segment to which a packet belongs, and the packet's unwrapped time."""
        if track is None:
            if not self._segments:
                self._segments.append(_Segment(time, time, packet.pos, packet.pos, self._first_shift))
            segment = self._segments[-1]
            time = segment.newest + self._difference(time, segment.newest)
            self._tracks[kind] = track = _Track(segment, time, time)
            return track, time
        step = self._difference(time, track.last)
        time = track.last + step
        if self._returns(kind, track, time, step):
            step = Fraction(0)
        if self._continues(kind, track, time, step):
            for segment in self._segments:
                segment.waited[kind] = segment.waited.get(kind, Fraction(0)) + max(step, Fraction(0))
            return track, time
        segment = self._later_segment(track, packet, time) or self._open_segment(packet, time)
        segment.before[kind] = (track.segment, track.end)
        time = segment.newest + self._difference(time, segment.newest)
        track.segment, track.last, track.end = segment, time, time
        return track, time

    def _returns(self, kind: Kind, track: _Track, time: Fraction, step: Fraction) -> bool:
        """Whether a stream returns to the others after it left them, alone and briefly."""
        away = track.segment
        before, _ = away.before.get(kind, (None, None))
        if before is None or before.shift is None or away.shift is not None or away.first.keys() != {kind}:
            return False
        others = [each.last for each in self._tracks.values() if each.segment is before]
        if abs(step) <= MAX_SKEW_S or not any(abs(self._difference(time, other)) <= MAX_SKEW_S for other in others):
            return False
        away.outlier = True
        self._settle(away)
        self._segments.remove(away)
        track.segment, track.last, track.end = before, time, time
        return True

    def _continues(self, kind: Kind, track: _Track, time: Fraction, step: Fraction) -> bool:
        if step > 0:
            return not self._mpeg or step <= LEAP_S or self._difference(time, track.segment.newest) <= LEAP_S
        if step >= -self._back:
            return True
        # A stream that had left the others returns to them.
        others = [each.last for i, each in self._tracks.items() if i != kind and each.segment is track.segment]
        return any(MAX_SKEW_S < abs(track.last - other) > abs(time - other) for other in others)

    def _later_segment(self, track: _Track, packet: av.Packet[Any], time: Fraction) -> _Segment | None:
        """The segment after the track's, opened by another stream, to which the packet belongs; None without one."""
        begin = self._segments.index(track.segment) + 1 if track.segment in self._segments else 0
        found = None
        for segment in self._segments[begin:]:
            if abs(self._difference(time, segment.newest)) > LEAP_S:
                continue
            if found is None or self._belongs_to_next(found, segment, packet.pos, time):
                found = segment
        return found

    def _belongs_to_next(self, segment: _Segment, following: _Segment, pos: int | None, time: Fraction) -> bool:
        """Whether a packet, by its offset in the file, belongs to the following segment and no longer to this one."""
        if pos is None or segment.end is None or following.begin is None or pos <= segment.end:
            return False
        nearer = abs(self._difference(time, following.opened)) < abs(self._difference(time, segment.newest))
        return pos >= following.begin or nearer

    def _open_segment(self, packet: av.Packet[Any], time: Fraction) -> _Segment:
        segment = _Segment(time, time, packet.pos, packet.pos)
        segment.before = {kind: (track.segment, track.end) for kind, track in self._tracks.items()}
        self._segments.append(segment)
        return segment

    def _note(self, kind: Kind, track: _Track, packet: av.Packet[Any], time: Fraction) -> None:
        segment, base = track.segment, packet.time_base
        assert base is not None
        shown = time if packet.pts is None else packet.pts * base
        length = (packet.duration or 0) * base or max(time - track.last, Fraction(0))
        segment.newest = max(segment.newest, time)
        segment.end = packet.pos if packet.pos is not None else segment.end
        segment.first[kind] = min(segment.first.get(kind, shown), shown)
        track.last, track.end = time, max(track.end, shown + length)

    def _wait(self) -> None:
        """Settle the segments that all streams have reached, or for which the wait is over."""
        while (segment := next((each for each in self._segments if each.shift is None), None)) is not None:
            # A packet may be presented before one that is decoded earlier, but not before its own decoding time.
            followed = self._tracks.keys() <= segment.first.keys() and all(
                track.segment is not segment or track.last >= segment.first[kind]
                for kind, track in self._tracks.items()
            )
            waited = max(segment.waited.values(), default=0) >= WAIT_S or len(self._held) > MAX_HELD
            if not followed and not waited:
                return
            self._settle(segment)
            del self._segments[: self._segments.index(segment)]

    def _settle(self, segment: _Segment) -> None:
        if segment.shift is not None:
            return
        earliest = min(segment.first.values())
        shifts, ends, alone = [], [], segment.outlier
        for kind, (before, end) in segment.before.items():
            assert before.shift is not None
            if kind not in segment.first and (segment.outlier or segment.waited.get(kind, 0) > MAX_SKEW_S):
                alone = True  # this stream continues by the old clock
                continue
            shifts.append(before.shift)
            ends.append(before.shift + end - segment.first.get(kind, earliest))
        segment.shift = max(ends)
        if alone and abs(segment.shift - shifts[0]) <= MAX_SKEW_S and not segment.outlier:
            segment.shift, segment.outlier = shifts[0], True  # disorder only: keep the streams in sync
        segment.before.clear()
        if not segment.outlier:
            self.joins.append(round(float(earliest + segment.shift), 6))

    def _released(self) -> Iterator[Given]:
        while self._held and (shift := self._held[0][2].shift) is not None:
            kind, packet, segment = self._held.popleft()
            if segment.outlier and not packet.size:
                continue
            ticks = round(shift / packet.time_base) if packet.time_base else 0
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
            yield kind, packet

    def _difference(self, time: Fraction, from_time: Fraction) -> Fraction:
        """`time` minus `from_time`; where the clock wraps, the difference of smaller magnitude."""
        difference = time - from_time
        return (difference + PERIOD / 2) % PERIOD - PERIOD / 2 if self._mpeg else difference


def empty(stream: Stream) -> av.Packet[Any]:
    """An empty packet, which flushes the decoder."""
    packet: av.Packet[Any] = av.Packet()
    packet.stream = stream
    packet.time_base = stream.time_base or Fraction(1)
    return packet

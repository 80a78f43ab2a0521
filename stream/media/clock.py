"""A container's clock: where it goes back or leaps, a new stretch begins, whose times go on behind those of the last.

Files joined end to end (`cat a.ts b.ts`), the parts of a stream and captures with a hole make such clocks.
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
"""Containers, by FFmpeg's names, whose times begin anywhere, such as at ten hours, and wrap."""
PERIOD = Fraction(1 << 33, 90_000)
"""Seconds after which such a clock begins at 0 again (ISO/IEC 13818-1, 2.4.3.7)."""
BACK_S = Fraction(1, 10)
"""How far such a clock goes back where a stretch begins; FFmpeg's own limit. Less is a careless muxer's disorder."""
OTHERS_BACK_S = Fraction(1)
"""The same for the other containers, where times out of order are nothing unusual."""
LEAP_S = 30
"""How far an MPEG clock goes on without a packet where a stretch begins: longer than a slide waits for the next one.

Elsewhere time that passes is the film's own, such as a still picture in a recording of a screen."""
WAIT_S = 3
"""Of a new stretch, until all streams must have followed; they are interleaved by less than a second."""
MAX_HELD = 4000
"""Packets that wait for that."""
APART_S = 1
"""How far the streams of one stretch are from each other at most, in the order of the file."""
REORDERED = 16
"""Frames that a decoder holds back at most, of H.264 and HEVC."""

Kind: TypeAlias = Literal["video", "audio", "other"]
"""What a packet holds; other things pass as they are."""
Given: TypeAlias = "tuple[Kind, av.Packet[Any]]"


@dataclass(slots=True, eq=False)
class _Stretch:
    """Times that go on; all in seconds of the container's clock."""

    opened: Fraction
    newest: Fraction
    begin: int | None
    """Where its first packet begins in the file, in bytes; None where nobody knows."""
    end: int | None
    """Where the newest does."""
    shift: Fraction | None = None
    """What is added to its times; None until the streams have agreed."""
    astray: bool = False
    """Whether it is only a moment, or a disorder, of one stream."""
    first: dict[Kind, Fraction] = field(default_factory=dict)
    """Of each stream, the earliest time at which something is shown or heard."""
    before: dict[Kind, tuple[_Stretch, Fraction]] = field(default_factory=dict)
    """Of each stream, the stretch that it came from and where it ended there."""
    waited: dict[Kind, Fraction] = field(default_factory=dict)
    """How far each stream went on since this stretch was opened."""


@dataclass(slots=True)
class _Track:
    """Where one stream is."""

    stretch: _Stretch
    last: Fraction
    """When its newest packet is decoded."""
    end: Fraction
    """Up to where it is shown or heard in its stretch."""
    delay: Fraction = Fraction(0)
    """How much later than it is decoded its newest packet is shown."""


class Clock:
    """Makes one line of the times of some streams of a film; what belongs together stays together.

    `start` is where an MPEG clock begins, in seconds: it becomes 0. A new stretch is moved as a whole, by so much that
    no stream begins in it before it ends in the last one, and one of them goes on without a hole.
    """

    def __init__(self, name: str, start: Fraction) -> None:
        self._mpeg = name in MPEG
        self._back = BACK_S if self._mpeg else OTHERS_BACK_S
        self._breaks = name != "avi"  # which stores no times
        self._stretches: list[_Stretch] = []  # those not agreed upon, behind the newest that is
        self._first_shift = -start if self._mpeg else Fraction(0)
        self._tracks: dict[Kind, _Track] = {}
        self._held: deque[tuple[Kind, av.Packet[Any], _Stretch]] = deque()
        self.joins: list[float] = []
        """Where the new stretches begin, in seconds of the line."""

    def line(self, packets: Iterable[Given]) -> Iterator[Given]:
        """All packets in their order; before the first of a stream in a new stretch an empty one, as at the end."""
        for kind, packet in packets:
            if self._breaks and kind != "other":
                yield from self._put(kind, packet)
            else:
                yield kind, packet
        for stretch in tuple(self._stretches):
            self._agree(stretch)
        yield from self._released()

    def _put(self, kind: Kind, packet: av.Packet[Any]) -> Iterator[Given]:
        ticks, base = packet.pts if packet.dts is None else packet.dts, packet.time_base
        track = self._tracks.get(kind)
        if ticks is None or not base:  # it follows the one before
            if track is None or not self._held:
                yield kind, packet
            else:
                self._held.append((kind, packet, track.stretch))
            return
        before = track.stretch if track is not None else None
        track, time = self._followed(kind, track, packet, ticks * base)
        # In mid-picture a leap may be the clock's alone; what went back is another piece.
        if before not in (None, track.stretch) and (packet.is_keyframe or time < before.newest):
            self._held.append((kind, empty(packet.stream), track.stretch))
        if packet.pts is not None and packet.dts is not None:
            self._keep_delay(track, (packet.pts - packet.dts) * base, time, is_first=before is not track.stretch)
            packet.pts = round((time + track.delay) / base)
        elif packet.pts is not None:
            packet.pts = round(time / base)
        packet.dts = None if packet.dts is None else round(time / base)
        self._held.append((kind, packet, track.stretch))
        self._note(kind, track, packet, time)
        self._wait()
        yield from self._released()

    def _keep_delay(self, track: _Track, delay: Fraction, time: Fraction, *, is_first: bool) -> None:
        delay = self._apart(delay, Fraction(0))
        # In an MPEG program stream FFmpeg gives the last frame before a leap a pts from behind it.
        longest = LEAP_S + REORDERED * (time - track.last)
        if not self._mpeg or is_first or -APART_S < delay < longest:
            track.delay = delay

    def _followed(
        self, kind: Kind, track: _Track | None, packet: av.Packet[Any], time: Fraction
    ) -> tuple[_Track, Fraction]:
        """The track, in the stretch to which a packet belongs, and the packet's time without a wrap."""
        if track is None:
            if not self._stretches:
                self._stretches.append(_Stretch(time, time, packet.pos, packet.pos, self._first_shift))
            stretch = self._stretches[-1]
            time = stretch.newest + self._apart(time, stretch.newest)
            self._tracks[kind] = track = _Track(stretch, time, time)
            return track, time
        step = self._apart(time, track.last)
        time = track.last + step
        if self._returns(kind, track, time, step):
            step = Fraction(0)
        if self._goes_on(kind, track, time, step):
            for stretch in self._stretches:
                stretch.waited[kind] = stretch.waited.get(kind, Fraction(0)) + max(step, Fraction(0))
            return track, time
        stretch = self._joined(track, packet, time) or self._opened(packet, time)
        stretch.before[kind] = (track.stretch, track.end)
        time = stretch.newest + self._apart(time, stretch.newest)
        track.stretch, track.last, track.end = stretch, time, time
        return track, time

    def _returns(self, kind: Kind, track: _Track, time: Fraction, step: Fraction) -> bool:
        """Whether a stream comes back to the others from which it went astray, alone and for a moment."""
        away = track.stretch
        before, _ = away.before.get(kind, (None, None))
        if before is None or before.shift is None or away.shift is not None or away.first.keys() != {kind}:
            return False
        others = [each.last for each in self._tracks.values() if each.stretch is before]
        if abs(step) <= APART_S or not any(abs(self._apart(time, other)) <= APART_S for other in others):
            return False
        away.astray = True
        self._agree(away)
        self._stretches.remove(away)
        track.stretch, track.last, track.end = before, time, time
        return True

    def _goes_on(self, kind: Kind, track: _Track, time: Fraction, step: Fraction) -> bool:
        if step > 0:
            return not self._mpeg or step <= LEAP_S or self._apart(time, track.stretch.newest) <= LEAP_S
        if step >= -self._back:
            return True
        # One that was astray comes back to the others.
        others = [each.last for i, each in self._tracks.items() if i != kind and each.stretch is track.stretch]
        return any(APART_S < abs(track.last - other) > abs(time - other) for other in others)

    def _joined(self, track: _Track, packet: av.Packet[Any], time: Fraction) -> _Stretch | None:
        """The stretch behind the track's in which another stream is already, and to which a packet belongs."""
        begin = self._stretches.index(track.stretch) + 1 if track.stretch in self._stretches else 0
        found = None
        for stretch in self._stretches[begin:]:
            if abs(self._apart(time, stretch.newest)) > LEAP_S:
                continue
            if found is None or self._is_behind(found, stretch, packet.pos, time):
                found = stretch
        return found

    def _is_behind(self, stretch: _Stretch, following: _Stretch, pos: int | None, time: Fraction) -> bool:
        """Whether a packet, by its place in the file, is not of a stretch any more but of the one that follows."""
        if pos is None or stretch.end is None or following.begin is None or pos <= stretch.end:
            return False
        nearer = abs(self._apart(time, following.opened)) < abs(self._apart(time, stretch.newest))
        return pos >= following.begin or nearer

    def _opened(self, packet: av.Packet[Any], time: Fraction) -> _Stretch:
        stretch = _Stretch(time, time, packet.pos, packet.pos)
        stretch.before = {kind: (track.stretch, track.end) for kind, track in self._tracks.items()}
        self._stretches.append(stretch)
        return stretch

    def _note(self, kind: Kind, track: _Track, packet: av.Packet[Any], time: Fraction) -> None:
        stretch, base = track.stretch, packet.time_base
        assert base is not None
        shown = time if packet.pts is None else packet.pts * base
        length = (packet.duration or 0) * base or max(time - track.last, Fraction(0))
        stretch.newest = max(stretch.newest, time)
        stretch.end = packet.pos if packet.pos is not None else stretch.end
        stretch.first[kind] = min(stretch.first.get(kind, shown), shown)
        track.last, track.end = time, max(track.end, shown + length)

    def _wait(self) -> None:
        """Agree on the stretches in which all streams are, or for which enough was waited."""
        while (stretch := next((each for each in self._stretches if each.shift is None), None)) is not None:
            # A packet may be shown before one that is decoded earlier, but not before it is decoded itself.
            followed = self._tracks.keys() <= stretch.first.keys() and all(
                track.stretch is not stretch or track.last >= stretch.first[kind]
                for kind, track in self._tracks.items()
            )
            waited = max(stretch.waited.values(), default=0) >= WAIT_S or len(self._held) > MAX_HELD
            if not followed and not waited:
                return
            self._agree(stretch)
            del self._stretches[: self._stretches.index(stretch)]

    def _agree(self, stretch: _Stretch) -> None:
        if stretch.shift is not None:
            return
        earliest = min(stretch.first.values())
        shifts, ends, alone = [], [], stretch.astray
        for kind, (before, end) in stretch.before.items():
            assert before.shift is not None
            if kind not in stretch.first and (stretch.astray or stretch.waited.get(kind, 0) > APART_S):
                alone = True  # this one goes on by the old clock
                continue
            shifts.append(before.shift)
            ends.append(before.shift + end - stretch.first.get(kind, earliest))
        stretch.shift = max(ends)
        if alone and abs(stretch.shift - shifts[0]) <= APART_S and not stretch.astray:
            stretch.shift, stretch.astray = shifts[0], True  # disorder: no reason to put the streams out of step
        stretch.before.clear()
        if not stretch.astray:
            self.joins.append(round(float(earliest + stretch.shift), 6))

    def _released(self) -> Iterator[Given]:
        while self._held and (shift := self._held[0][2].shift) is not None:
            kind, packet, stretch = self._held.popleft()
            if stretch.astray and not packet.size:
                continue
            ticks = round(shift / packet.time_base) if packet.time_base else 0
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
            yield kind, packet

    def _apart(self, time: Fraction, from_time: Fraction) -> Fraction:
        """How much later one time is than another; by the shorter way, where the clock wraps."""
        apart = time - from_time
        return (apart + PERIOD / 2) % PERIOD - PERIOD / 2 if self._mpeg else apart


def empty(stream: Stream) -> av.Packet[Any]:
    """A packet by which a decoder gives what it holds back."""
    packet: av.Packet[Any] = av.Packet()
    packet.stream = stream
    packet.time_base = stream.time_base or Fraction(1)
    return packet

"""The encoded video of a film that is being written, packet by packet on disk, so that a killed run can be resumed."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.video.reformatter import ColorPrimaries, ColorTrc

from whycam.stream.video.codec import EncodedFrame

_RECORD = struct.Struct("<qqI?")  # pts, dts, bytes that follow, keyframe


@dataclass(frozen=True, slots=True)
class VideoParameters:
    """What an encoder needs before its first frame."""

    width: int
    height: int
    colorspace: int
    color_range: int
    color_trc: int
    color_primaries: int

    @classmethod
    def of(cls, what: Any) -> VideoParameters:
        """The parameters of a frame or codec context."""
        # 0 is reserved: as good as unspecified.
        trc, primaries = what.color_trc or ColorTrc.UNSPECIFIED, what.color_primaries or ColorPrimaries.UNSPECIFIED
        return cls(what.width, what.height, int(what.colorspace), int(what.color_range), int(trc), int(primaries))


@dataclass(frozen=True, slots=True)
class Coded:
    """One frame of H.264, as an Annex B byte stream; pts and dts in the film's time base."""

    pts: int
    dts: int
    data: bytes
    is_keyframe: bool


def parameter_sets(extradata: bytes | None) -> bytes:
    """The SPS and PPS in an encoder's extradata, or in a keyframe."""
    return EncodedFrame("H264", extradata or b"", 0).header


class Journal:
    """A file to which packets are appended; `write` passes each to the operating system at once."""

    def __init__(self, path: Path, *, resume_at: int | None = None) -> None:
        """Begin a journal, or continue the existing one at byte `resume_at`."""
        self._file = path.open("wb" if resume_at is None else "r+b", buffering=0)
        if resume_at is not None:
            self._file.truncate(resume_at)
            self._file.seek(resume_at)

    def begin(self, picture: VideoParameters, extradata: bytes | None) -> None:
        """Write the header: the video's parameters and its parameter sets."""
        header = {**asdict(picture), "parameter_sets": parameter_sets(extradata).hex()}
        self._file.write(json.dumps(header).encode() + b"\n")

    def write(self, coded: Coded) -> None:
        """Append a packet."""
        self._file.write(_RECORD.pack(coded.pts, coded.dts, len(coded.data), coded.is_keyframe) + coded.data)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class KeptFilm:
    """The packets of a journal, or of a film that a `FilmWriter` made, in the order of decoding.

    Raises `ValueError`, `OSError` or `av.FFmpegError` if the file is neither.
    """

    def __init__(self, path: Path, time_base: Fraction) -> None:
        self.path = path
        self._time_base = time_base
        with path.open("rb") as file:
            self.is_journal = file.read(1) == b"{"
            file.seek(0)
            header = json.loads(file.readline()) if self.is_journal else {}
        if self.is_journal:
            self.parameter_sets = bytes.fromhex(header.pop("parameter_sets"))
            self.picture = VideoParameters(**header)
        else:
            with av.open(path) as film:
                self.picture = VideoParameters.of(film.streams.video[0].codec_context)
            self.parameter_sets = parameter_sets(next(self.packets()).data)

    def packets(self) -> Iterator[Coded]:
        """The complete packets."""
        return self._of_journal() if self.is_journal else self._of_film()

    def end_of(self, count: int) -> int:
        """Byte offset in a journal after its first `count` packets."""
        with self.path.open("rb") as file:
            end = len(file.readline())
        sizes = (_RECORD.size + len(coded.data) for coded in self.packets())
        return end + sum(size for size, _ in zip(sizes, range(count), strict=False))

    def _of_journal(self) -> Iterator[Coded]:
        with self.path.open("rb") as file:
            file.readline()
            while len(head := file.read(_RECORD.size)) == _RECORD.size:
                pts, dts, size, is_keyframe = _RECORD.unpack(head)
                data = file.read(size)
                if len(data) < size:
                    return
                yield Coded(pts, dts, data, is_keyframe)

    def _of_film(self) -> Iterator[Coded]:
        with av.open(self.path) as film:
            to_annex_b = BitStreamFilterContext("h264_mp4toannexb", film.streams.video[0])
            for packet in film.demux(video=0):
                if packet.pts is None or packet.dts is None:
                    continue
                # An MP4's time base may be finer than the one requested.
                pts, dts = (round(t * packet.time_base / self._time_base) for t in (packet.pts, packet.dts))
                is_keyframe = packet.is_keyframe
                for each in to_annex_b.filter(packet):
                    yield Coded(pts, dts, bytes(each), is_keyframe)


def playable_frames(packets: Sequence[int], shown: Sequence[int]) -> int:
    """How many of the first frames are present and depend on no later one.

    `packets` are pts in decoding order, `shown` the pts of the painted frames in presentation order. A film can only
    end where the frames decoded so far are the frames shown so far.
    """
    best = 0
    latest: int | None = None
    for count, (pts, last) in enumerate(zip(packets, shown, strict=False), 1):
        latest = pts if latest is None else max(latest, pts)
        if latest == last:  # pts differ, so of `count` frames the latest is the `count`-th shown
            best = count
    return best

"""A file that encoded frames are copied into as they are: MP4 for H.264, WebM for VP8, readable after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av
from av.container import OutputContainer

from whycam.stream.video.codec import TIME_BASE, CodecName, DamagedKeyframe, EncodedFrame, opened

_MP4 = {
    # Fragments of half a second can be read after a crash; a clean stop turns the file into an ordinary MP4. Without
    # delay_moov the first fragment could not be read, with empty_moov the file would begin at 0 until it is closed.
    "movflags": "hybrid_fragmented+delay_moov+default_base_moof",
    "frag_duration": "500000",
    "movie_timescale": str(TIME_BASE.denominator),  # a file's first pts is written in it
    "flush_packets": "1",
    "avoid_negative_ts": "disabled",  # a file's first pts is kept, else the two files would not be in step
}
_WEBM = {"cluster_time_limit": "500", "flush_packets": "1", "avoid_negative_ts": "disabled"}


class BitstreamFile:
    """One MP4 or WebM file into which encoded frames are copied; `first` is the keyframe it begins with.

    Raises `DamagedKeyframe`, and leaves no file then.
    """

    def __init__(self, path: Path, first: EncodedFrame) -> None:
        self.path = path
        self.header = first.header
        with opened(first) as template:  # MP4 repeats the parameter sets of H.264
            video = template.streams.video[0] if template is not None else None
            self.size = first.vp8_size if video is None else (video.width, video.height)
            if 0 in self.size:
                raise DamagedKeyframe
            path.touch(mode=0o600)
            self._container: OutputContainer = av.open(path, "w", options=_WEBM if video is None else _MP4)
            if video is None:
                width, height = self.size
                self._stream = self._container.add_mux_stream("vp8", width=width, height=height)
            else:
                self._stream = self._container.add_stream_from_template(video)
        self._stream.time_base = TIME_BASE
        self._last = -1
        self.written = 0

    def write(self, frame: EncodedFrame, pts: int) -> None:
        """Copy a frame at `pts`, in 1/90000 s; raises `OSError` where the disk is full."""
        packet = av.Packet(frame.data)
        packet.stream = self._stream
        packet.time_base = TIME_BASE
        packet.pts = packet.dts = self._last = max(pts, self._last + 1)
        packet.is_keyframe = frame.is_keyframe
        self._container.mux_one(packet)
        self.written += 1

    def close(self) -> None:
        """Finish the file; raises `OSError` where the disk is full (it can be read up to its last fragment)."""
        self._container.close()


_SUFFIX: Mapping[CodecName, str] = {"H264": ".mp4", "VP8": ".webm"}

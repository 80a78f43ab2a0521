"""A file of encoded frames, copied unchanged into the container of their codec; readable after a crash."""

from __future__ import annotations

from pathlib import Path

import av
from av.container import OutputContainer

from whycam.stream.recording.containers import CONTAINERS
from whycam.stream.video.codec import TIME_BASE, DamagedKeyframe, EncodedFrame, opened

FRAME = TIME_BASE.denominator // 30
"""How long the only frame of a file is shown, in 1/90000 s."""


class BitstreamFile:
    """A file into which encoded frames are copied, beginning with the keyframe `first`.

    Raises `DamagedKeyframe`; no file is left then.
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
            container = CONTAINERS[first.codec]
            self._container: OutputContainer = av.open(
                path, "w", format=container.muxer, options=dict(container.recording)
            )
            if video is None:
                width, height = self.size
                self._stream = self._container.add_mux_stream("vp8", width=width, height=height)
            else:
                self._stream = self._container.add_stream_from_template(video)
        self._stream.time_base = TIME_BASE
        self._last = -1
        self.written = 0

    def write(self, frame: EncodedFrame, pts: int) -> None:
        """Copy a frame at `pts`, in 1/90000 s; raises `OSError` if the disk is full."""
        packet = av.Packet(frame.data)
        packet.stream = self._stream
        packet.time_base = TIME_BASE
        pts = max(pts, self._last + 1)
        # The last frame of a file is shown as long as the one before. Without a duration an MP4 of a browser's camera
        # would end where that frame begins, and players would leave it out.
        packet.duration = pts - self._last if self._last >= 0 else FRAME
        packet.pts = packet.dts = self._last = pts
        packet.is_keyframe = frame.is_keyframe
        self._container.mux_one(packet)
        self.written += 1

    def close(self) -> None:
        """Finish the file; raises `OSError` if the disk is full (it is readable up to its last fragment)."""
        self._container.close()

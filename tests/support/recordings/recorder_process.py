"""A program that records until it is killed: `python -m tests.support.recordings.recorder_process FOLDER CODEC`.

It records ten times as fast as a camera, and prints the pts of each frame.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import get_args

from tests.support.films import media_samples
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame
from whycam.stream.recording.writer import Recording
from whycam.stream.video.codec import CodecName


def main() -> None:
    codec = next(name for name in get_args(CodecName) if name == sys.argv[2])
    frames = media_samples.encoded(codec, 600, (64, 48))
    recording = Recording(Path(sys.argv[1]), {"model": "tiny"}, lambda _: None)
    for frame in frames:
        recording.camera(frame)
        recording.explained(frame, SidecarFrame(frame.pts, 0.0, (), View()))
        time.sleep(0.004)
        print(frame.pts, flush=True)
    time.sleep(60)


if __name__ == "__main__":
    main()

"""Redraws recorded sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.servers.calls import session_of
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.painter import Painter
from whycam.stream.recording.sidecar import read_sidecar
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.encoder import Encoder
from whycam.stream.video.planes import copied, fitted


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[av.VideoFrame]:
    """Every painted frame that goes to an encoder, in order."""
    seen: list[av.VideoFrame] = []
    encode = Encoder.encode

    def noting(self: Encoder, picture: av.VideoFrame, *, keyframe: bool = False) -> EncodedFrame | None:
        seen.append(copied(picture))
        return encode(self, picture, keyframe=keyframe)

    monkeypatch.setattr(Encoder, "encode", noting)
    return seen


def replay(folder: Path) -> Iterator[av.VideoFrame]:
    """The painted frames of a recording, from its camera's film and its sidecar."""
    header, lines = read_sidecar(folder / "predictions.jsonl")
    session = session_of(folder)
    pictures: dict[int, av.VideoFrame] = {}
    sizes: dict[int, tuple[int, int]] = {}
    for segment in session["camera"]:
        for shot in media_samples.read(folder / segment["file"]):
            pts = segment["first_pts"] + round(shot.time * 90_000)
            pictures[pts], sizes[pts] = shot.frame, (shot.frame.width, shot.frame.height)
    painter = Painter(Fit(header["fit"], (tiny_models.SIZE, tiny_models.SIZE)))
    for line in lines:
        picture = copied(pictures[line.pts if line.frozen is None else line.frozen])
        painter.paint(picture, line.maps, line.view, hidden=line.hidden)
        yield fitted(picture, *sizes[line.pts])

"""One model's part of a live stream: its fit, painter, maps and occlusion probe, all made anew for another model."""

from __future__ import annotations

import math

import av

from whycam.stream.inference.engine import Engine
from whycam.stream.inference.preprocess import Fit
from whycam.stream.live.heatmap_source import HeatmapSource, Policy
from whycam.stream.live.inference_pace import InferencePace
from whycam.stream.live.occlusion_probe import OcclusionProbe
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View


class ModelStage:
    """What a live stream makes of one engine; after it was made, only the stream's thread uses it.

    `name` is the model's name in reports: the one by which it was chosen, by default the one in its file.
    """

    def __init__(
        self, engine: Engine, policy: Policy, name: str | None = None, pace: InferencePace | None = None
    ) -> None:
        fit = Fit(engine.contract.fit, engine.contract.input_size)
        self.engine = engine
        self.name = name or engine.contract.name
        self.painter = Painter(fit)
        self.heatmaps = HeatmapSource(engine, fit, policy, pace)
        self.probe = OcclusionProbe(engine)
        self._has_seen = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its classes, by number."""
        return self.engine.contract.labels

    @property
    def has_explained(self) -> bool:
        """Whether there are maps to draw."""
        return self.heatmaps.newest is not None

    def see(self, frame: av.VideoFrame, *, is_new: bool) -> None:
        """Take the frame on screen before it is painted; not `is_new` for one that is still on screen, a frozen one."""
        if is_new or not self._has_seen:
            self.heatmaps.see(frame)
        self._has_seen = True

    def rehearse(self, frame: av.VideoFrame, pts: int, view: View, *, is_new: bool, frozen: bool) -> None:
        """Explain a frame that another stage paints; never waits. `pts` is the camera's time."""
        self.heatmaps.pace(pts)
        self.see(frame, is_new=is_new)
        self.heatmaps.ask(frame, view, math.inf, frozen=frozen)

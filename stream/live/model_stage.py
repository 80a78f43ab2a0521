"""One model's part of a live stream: its fit, painter, maps and occlusion probe, all made anew for another model."""

from __future__ import annotations

import math
from dataclasses import replace

import av

from whycam.models.class_set import ClassSet
from whycam.stream.inference.engine import Engine
from whycam.stream.inference.known_classes import KnownClasses
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
        self,
        engine: Engine,
        policy: Policy,
        name: str | None = None,
        pace: InferencePace | None = None,
        class_set: ClassSet | None = None,
    ) -> None:
        fit = Fit(engine.contract.fit, engine.contract.input_size)
        self.engine = engine
        self.name = name or engine.contract.name
        self.map = engine.contract.drawn_map()
        """What is drawn."""
        self.painter = Painter(fit)
        self.heatmaps = HeatmapSource(engine, fit, policy, pace)
        self.probe = OcclusionProbe(engine)
        self._has_seen = False
        self.use_classes(class_set)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the model's own classes, by number."""
        return self.engine.contract.labels

    def renumbered(self, view: View, before: ModelStage) -> View:
        """A view of the stage `before` for this one: without what this one lacks."""
        if not (self.classes.class_set and before.classes.class_set):  # otherwise taught classes keep their numbers
            view = view.renumbered(before.labels, self.labels)
        view = self.of_known_classes(view)
        can_compare = len(view.pinned) == 2 and self.engine.contract.signed_map() is not None
        return view if can_compare or not view.difference else replace(view, difference=False)

    @property
    def classes(self) -> KnownClasses:
        """The classes that are asked for from now on; any thread may replace them."""
        return self.heatmaps.classes

    def use_classes(self, class_set: ClassSet | None) -> None:
        """Ask for other classes; None: the model's own."""
        self.heatmaps.classes = KnownClasses(self.labels, class_set)

    def of_known_classes(self, view: View) -> View:
        """The view without pinned classes that are not asked for."""
        return replace(view, pinned=tuple(c for c in view.pinned if self.classes.index(c) is not None))

    @property
    def drawn_classes(self) -> KnownClasses:
        """Those of the maps that are drawn, which may have been asked for before the classes changed."""
        newest = self.heatmaps.newest
        return self.classes if newest is None else newest.classes

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

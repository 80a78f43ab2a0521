"""The requested look of a result, and the renderer that draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import av

from whycam.models.contract import Contract, Fitting
from whycam.stream.inference.explainer import BEST
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.preprocess import Fit
from whycam.stream.overlay.difference import with_difference
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult, caption, chosen, is_difference, without_repeats
from whycam.stream.overlay.layouts import LayoutName, lay_out
from whycam.stream.overlay.styles import StyleName, make_style
from whycam.stream.overlay.text import draw_legend
from whycam.stream.overlay.view import View
from whycam.stream.video.planes import Bytes


@dataclass(frozen=True, slots=True)
class Look:
    """Layout, style and label of a result. The defaults are those of the live stream."""

    view: View = field(default_factory=View)
    layout: LayoutName = "overlay"
    style: StyleName = "blend"
    fit: Fitting | None = None
    """None: the model's own."""
    top: int = 1
    """Number of best classes in the label, if none is pinned."""
    sure: float = 0.0
    """Below this probability the label says 'not sure'."""
    label: bool = True
    legend: bool = False

    def described(self) -> dict[str, Any]:
        """The fields that a sidecar's header stores, besides the view and the fit."""
        return {key: getattr(self, key) for key in DESCRIBED}


DESCRIBED = ("style", "layout", "top", "sure", "label", "legend")


class Renderer:
    """Draws results. Each thread that makes input images or draws needs a separate one.

    `labels` are those of the model; empty if no model is used.
    """

    def __init__(self, look: Look, fit: Fit, labels: Sequence[str] = ()) -> None:
        self._look = look
        self._labels = labels
        self._style = make_style(look.style, fit)
        best = max(len(BEST), look.top)
        self.targets = [-1 - rank for rank in range(min(best, len(labels)))] + list(look.view.pinned)
        """Targets of each request to the engine: the best classes and the pinned ones."""

    @classmethod
    def of(cls, look: Look, contract: Contract) -> Renderer:
        """A renderer for the results of a model."""
        return cls(look, Fit(look.fit or contract.fit, contract.input_size), contract.labels)

    def input_image(self, frame: av.VideoFrame) -> Bytes:
        """The network's input (H, W, 3) for a frame."""
        return self._style.input_image(frame)

    def maps(self, explanation: Explanation, index: int) -> tuple[DrawnMap, ...]:
        """The maps of one image of a batch, as they are drawn and stored."""
        maps = self._style.maps(explanation, index, self._labels)
        return without_repeats(with_difference(maps, explanation, index, self._look.view))

    def draw(
        self,
        frame: av.VideoFrame,
        maps: Sequence[DrawnMap],
        view: View | None = None,
        hidden: OcclusionResult | None = None,
    ) -> av.VideoFrame:
        """The result for a frame, which may be the frame itself, painted.

        `view` replaces the look's own; `hidden` is the occlusion result that the label shows.
        """
        look = self._look
        view = view or look.view
        captions = partial(self.label_lines, hidden=hidden)
        drawn = lay_out(look.layout, frame, maps, view, self._style, captions)
        if look.legend:
            alone = look.layout == "grid"
            halves = not alone and is_difference(chosen(maps, view))
            colours = self._style.colours(view.colormap, 1 if alone else max(1, len(view.pinned)), halves=halves)
            draw_legend(drawn, colours)
        return drawn

    def label_lines(
        self, maps: Sequence[DrawnMap], view: View, hidden: OcclusionResult | None = None
    ) -> Sequence[str] | None:
        """The label's lines, 'NN% name' each; None: the style's own label."""
        look = self._look
        if not look.label or not maps:
            return ()
        if look.top == 1 and not look.sure and look.style == "blend":
            return None if hidden is None else [caption(chosen(maps, view), hidden)]
        drawn = chosen(maps, view)
        shown = [[each] for each in maps[: look.top]] if look.top > 1 and not view.pinned else [drawn]
        lines = [caption(each) for each in shown]
        return [f"not sure: {lines[0]}", *lines[1:]] if drawn[0].score < look.sure else lines

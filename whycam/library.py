"""`whycam.explain`: explains one image, for a notebook or a program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whycam.models import catalog
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.video.planes import Bytes


@dataclass(frozen=True, slots=True)
class Explained:
    """The explanation of one image, for each target; by default the five best classes."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    classes: tuple[int, ...]
    heatmaps: Bytes  # (K, h, w), 255 is each map's maximum
    picture: Bytes  # (H, W, 3) RGB, upright
    overlay: Bytes  # (H, W, 3) RGB, the image with the first heatmap


def explain(picture: str | Path | Bytes, *, model: str | None = None, targets: tuple[int, ...] = BEST) -> Explained:
    """Explain one image: a file, or RGB uint8 (H, W, 3).

    A target is a class number, or −1 for the best class, −2 for the second. Raises `ValueError` for an unreadable
    image, and `RuntimeMissing` if onnxruntime is not installed.
    """
    from whycam.stream.offline.explain import explain_image

    maps, plain, painted = explain_image(picture, Explainer(catalog.find(model)), targets)
    return Explained(
        tuple(m.label for m in maps),
        tuple(m.score for m in maps),
        tuple(m.class_id for m in maps),
        np.stack([m.grid for m in maps]),
        plain,
        painted,
    )

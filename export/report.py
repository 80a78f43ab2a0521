"""The page of an export: what was checked, by what means, and what the model says of some images."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from whycam.export.verify.agreement import Agreement
from whycam.stream.inference.explainer import Explainer

MAX_SHOWN = 6
DARK = 0.15
"""The brightness of an image where the map has no evidence."""


class Shown(NamedTuple):
    """An image beside its explanation, as data URLs."""

    image: str
    explained: str
    label: str
    score: float


def write_report(model: Path, agreements: Sequence[Agreement], images: NDArray[np.uint8], path: Path) -> None:
    """Write the page about an explainable file and the check of its maps on RGB images (N, H, W, 3).

    The first agreement is that of the map that is drawn.
    """
    explainer = Explainer(model)
    environment = Environment(
        loader=PackageLoader("whycam.export", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("report.html.jinja").render(
        model=explainer.contract,
        sha256=explainer.sha256,
        agreement=agreements[0],
        checks=[check for each in agreements for check in each.checks() if check.value is not None],
        shown=list(_shown(explainer, images[:MAX_SHOWN])),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _shown(explainer: Explainer, images: NDArray[np.uint8]) -> Iterator[Shown]:
    found = explainer.explain(images, [-1])
    for place, image in enumerate(images):
        best = int(found.classes[place, 0])
        heat = cv2.resize(found.heatmaps[place, 0], image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        lit = image * (DARK + (1 - DARK) * np.clip(heat, 0, 1)[..., None])
        score = float(found.scores[place, best])
        yield Shown(_jpeg(image), _jpeg(lit.astype(np.uint8)), explainer.contract.labels[best], score)


def _jpeg(rgb: NDArray[np.uint8]) -> str:
    file = BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"

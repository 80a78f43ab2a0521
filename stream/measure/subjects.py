"""The images of a study: files and folders, fitted to the network, with the class that is explained and its boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from whycam.models.contract import Contract
from whycam.stream.inference.preprocess import Fit
from whycam.stream.measure.faithfulness import Subject
from whycam.stream.measure.network import ExplainedNetwork
from whycam.stream.measure.pointing import Box, BoxesError
from whycam.stream.media.image import read_image
from whycam.stream.media.image_folder import ImageFolder
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.inputs import find_inputs
from whycam.stream.offline.targets import find_targets
from whycam.stream.video.planes import rgb_frame


def files_of(names: Sequence[str]) -> list[Path]:
    """The image files that names, patterns and folders refer to; raises `MediaError` for anything else."""
    found: list[Path] = []
    for given in find_inputs(names):
        if given.kind == "folder":
            found += ImageFolder(given.path).images
        elif given.kind == "picture" or given.is_missing:
            found.append(given.path)
        else:
            raise MediaError(f"{given.name} is no image. Give image files, or a folder of them.")
    return list(dict.fromkeys(found))


def subjects_of(
    files: Sequence[Path],
    contract: Contract,
    network: ExplainedNetwork,
    target: str | None,
    boxes: Mapping[str, Sequence[Box]],
) -> list[Subject]:
    """The images as the network sees them, each with its best class, or with `target` for all.

    Raises `ImageError`, and `BoxesError` if no box belongs to any image, or one's class is unknown.
    """
    fit = Fit(contract.fit, contract.input_size)
    wanted = None if target is None else find_targets((target,), contract.labels)[0]
    found = []
    for file in files:
        rgb = read_image(file)
        image = fit.image(rgb_frame(rgb))
        class_id = network.best(image) if wanted is None else wanted
        own = [box for box in boxes.get(file.name, ()) if _class_of(box, contract) == class_id]
        height, width = rgb.shape[:2]
        found.append(Subject(file.name, image, class_id, fit.rectangle(width, height), own))
    if boxes and not any(file.name in boxes for file in files):
        raise BoxesError(f"No box belongs to an image: the boxes are of {', '.join(sorted(boxes)[:3])}.")
    return found


def _class_of(box: Box, contract: Contract) -> int:
    try:
        return find_targets((box.label,), contract.labels)[0]
    except ValueError as error:
        raise BoxesError(f"A box is of the class '{box.label}', which the model does not have. {error}") from error

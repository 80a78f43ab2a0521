"""Explains films, folders of frames and single images with the same parts as a live stream."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

from whycam.models.class_set import ClassSet
from whycam.models.model_file import output_of
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.preprocess import Fit
from whycam.stream.inference.providers import Device
from whycam.stream.media.address import Address
from whycam.stream.media.film_reader import Film, open_film
from whycam.stream.media.film_writer import FilmWriter
from whycam.stream.media.image import exif_of, read_image
from whycam.stream.media.image_folder import ImageFolder, SingleImage
from whycam.stream.media.image_writer import FolderWriter, ImageWriter
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.pipeline import ProcessJob, ProcessResult, Writer, explain, header_of
from whycam.stream.offline.recording_source import RecordedFilm
from whycam.stream.offline.results.resume import find_earlier
from whycam.stream.overlay.difference import check_difference, with_difference
from whycam.stream.overlay.heatmap import DrawnMap, drawn_maps
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.recording.paths import SIDECAR
from whycam.stream.video.planes import Bytes, rgb_frame, rgb_of, yuv_frame


def open_model(
    path: Path, method: str | None, layer: str | None, *, device: Device = "auto", compares: bool = False
) -> Explainer:
    """A model with its map by this method and of this layer, the first by default; raises `ContractError`.

    `compares`: with the signed maps, of which the difference of two classes is made.
    """
    explainer = Explainer(path, device=device, output=output_of(path, method, layer), signed=compares)
    if compares:
        check_difference(explainer.contract)
    return explainer


def explain_film(
    source: Path | BinaryIO | Address, output: Path, work: ProcessJob, *, frames: Path | None = None
) -> ProcessResult:
    """Explain a video into `output` (.mp4) and a sidecar beside it (.jsonl); raises `MediaError`.

    `frames` is a folder for the painted frames as images.
    """
    check_apart(source, output, "film")
    with open_film(source, work.stop) as film:
        return _explain_original(film, output, work, frames)


def explain_recording(folder: Path, output: Path, work: ProcessJob, *, frames: Path | None = None) -> ProcessResult:
    """Explain all camera files of a recording into one film; raises `MediaError`."""
    return _explain_original(RecordedFilm.of(folder), output, work, frames)


def _explain_original(film: Film | RecordedFilm, output: Path, work: ProcessJob, frames: Path | None) -> ProcessResult:
    sidecar = output.with_suffix(".jsonl")
    earlier = None
    if work.resume:
        folders = [frames] if frames is not None else []
        earlier = find_earlier(header_of(film, work), output, sidecar, folders, film.time_base)
    kept, count = (earlier.film, earlier.count) if earlier is not None else (None, 0)
    with ExitStack() as made:
        video = FilmWriter(output, film, keep_metadata=work.keep_metadata, kept=kept, count=count)
        made.callback(video.discard)
        writers: list[Writer] = [video]
        if frames is not None:
            writers.append(FolderWriter(frames, kept=earlier.folders[0] if earlier is not None else None))
            made.callback(writers[-1].discard)
        return explain(film, work, writers, output, sidecar, video.write_sound, earlier)


def explain_folder(source: Path, output: Path, work: ProcessJob) -> ProcessResult:
    """Explain a folder of frames into a folder of images and `predictions.jsonl`; raises `MediaError`."""
    folder, sidecar = ImageFolder(source), output / SIDECAR
    check_apart(source, output, "folder")
    earlier = None
    if work.resume:
        earlier = find_earlier(header_of(folder, work), None, sidecar, [output], folder.time_base, names=folder.results)
    with ExitStack() as made:
        kept = earlier.folders[0] if earlier is not None else None
        writer = FolderWriter(output, names=folder.results, kept=kept)
        made.callback(writer.discard)
        return explain(folder, work, [writer], output, sidecar, earlier=earlier, files=folder.photographs)


def explain_one(source: Path, output: Path, work: ProcessJob) -> ProcessResult:
    """Explain an image file into another one; raises `ImageError`."""
    check_apart(source, output, "picture")
    picture = SingleImage(source)
    metadata = exif_of(source) if work.keep_metadata else b""
    if metadata is None:
        picture.losses.notes.append(f"The EXIF of {source.name} is damaged or too long, and was not copied.")
    return explain(picture, work, [ImageWriter(output, metadata or b"")], output, None)


def check_apart(source: Path | BinaryIO | Address, output: Path, kind: str) -> None:
    """Raise `MediaError` if a result would overwrite its input."""
    if isinstance(source, Path) and output.exists() and source.exists() and output.samefile(source):
        raise MediaError(f"{output} is the {kind} itself. Give another name for the explained one.")


def explain_image(
    source: str | Path | Bytes, explainer: Explainer, targets: Sequence[int]
) -> tuple[tuple[DrawnMap, ...], Bytes, Bytes]:
    """An image's map for each target, the image, and the image with the first map drawn onto it; RGB (H, W, 3).

    Raises `ImageError`, and `ValueError` without a target.
    """
    rgb = read_image(source)
    ((maps, painted),) = explain_images([rgb], explainer, targets)
    return maps, rgb, painted


def explain_images(
    images: Sequence[Bytes], explainer: Explainer, targets: Sequence[int], class_set: ClassSet | None = None
) -> list[tuple[tuple[DrawnMap, ...], Bytes]]:
    """For each image, RGB (H, W, 3), its map for each target, and the image with the first map drawn onto it.

    All go through the model in one run. A class of `class_set` has its place there as its number. Raises `ValueError`
    without a target.
    """
    if not len(targets):
        raise ValueError("There is no target. Give class numbers, or -1 for the best class, -2 for the second.")
    return _explained(images, explainer, targets, View(), class_set)


def compare_images(
    images: Sequence[Bytes], explainer: Explainer, pair: tuple[int, int], class_set: ClassSet | None = None
) -> list[tuple[tuple[DrawnMap, ...], Bytes]]:
    """For each image the two halves of the difference of two classes, and the image with both drawn onto it.

    The explainer has signed maps.
    """
    return _explained(images, explainer, pair, View(pair, difference=True), class_set)


def _explained(
    images: Sequence[Bytes],
    explainer: Explainer,
    targets: Sequence[int],
    view: View,
    class_set: ClassSet | None,
) -> list[tuple[tuple[DrawnMap, ...], Bytes]]:
    contract = explainer.contract
    fit = Fit(contract.fit, contract.input_size)
    frames = [rgb_frame(rgb) for rgb in images]
    explanation = explainer.explain(np.stack([fit.image(frame) for frame in frames]), targets, class_set)
    labels = contract.labels if class_set is None else class_set.labels
    found = []
    for number, frame in enumerate(frames):
        maps = with_difference(drawn_maps(explanation, number, labels), explanation, number, view)
        painted = yuv_frame(frame)
        Painter(fit).paint(painted, maps, view)
        found.append((maps, rgb_of(painted)))
    return found

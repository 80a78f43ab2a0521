"""The pipeline of `whycam export`: build a network, append the head, verify it, then move the file in place."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from whycam.export.head.grad_cam import append_cam
from whycam.export.head.maps import appended
from whycam.export.networks import vgg16
from whycam.export.precision.half import store_half
from whycam.export.requirements import check_needs
from whycam.export.save import save
from whycam.export.verify.agreement import Agreement, compare, metadata_of
from whycam.export.verify.autodiff import Autodiff, Question
from whycam.export.verify.other_classes import check_other_classes
from whycam.export.verify.synthetic_images import scenes
from whycam.models import catalog
from whycam.models.contract import METHOD, SIGNED, SINGLE_LABEL, Contract, Fitting, Score
from whycam.stream.inference.preprocess import Fit
from whycam.stream.media.image import read_image

FIT: Fitting = "stretch"  # the whole frame, scaled to the network's square as in the book
SCENES = 32
"""The number of synthetic images: always for calibration, and for verification if none are given."""
MAX_EXAMPLES = 64
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}
TOOLS = ("keras", "tf2onnx", "onnx")
LABELS = Path(catalog.__file__).parent / "imagenet-labels.txt"

Say = Callable[[str], None]
Images = NDArray[np.uint8]


def export_vgg16(
    weights: str | Path = "imagenet",
    score: Score = "probability",
    output: Path | None = None,
    *,
    half: bool = False,
    int8: bool = False,
    verify_with: Path | None = None,
    calibrate_with: Path | None = None,
    methods: Sequence[str] = (METHOD,),
    layers: Sequence[str] = (),
    say: Say = lambda _: None,
) -> Path:
    """Make an explainable VGG16 and return its file: `output`, or the path of whycam's default model.

    `weights` is `imagenet`, `random`, or a file written by Keras. `half` stores weights in half precision, `int8`
    quantizes to 8-bit integers; `calibrate_with` is a folder of images for calibration, `verify_with` one for
    verification. `methods` and `layers` are those of `append_cam`: every layer, the last by default, by every method.
    Raises `WeightsError`, `ExportMissing`, `Disagreement` for a model that fails verification (no file
    is written then), and `ValueError` for arguments that contradict each other.
    """
    if half and int8:
        raise ValueError("Give --half or --int8: weights in 8 bits are smaller than those in half precision.")
    if calibrate_with and not int8:
        raise ValueError("--calibrate-with needs --int8: nothing else is calibrated.")
    destination = output or catalog.vgg16().path
    if destination.suffix != ".onnx":
        raise ValueError(f"The output is an ONNX file; give it a name that ends in .onnx, not '{destination.name}'.")
    started = perf_counter()
    vgg16.check(weights)
    read = partial(read_images, size=(224, 224))
    images = read(verify_with) if verify_with else None
    calibration = read(calibrate_with) if calibrate_with else None
    _check_tools()
    say(f"VGG16 with {weights} weights")
    write(
        vgg16.build(weights, say),
        score,
        destination,
        half=half,
        int8=int8,
        images=images,
        calibration=calibration,
        methods=methods,
        layers=layers,
        say=say,
    )
    size = destination.stat().st_size / 1e6
    say(f"{destination}: {size:.0f} MB, in {perf_counter() - started:.0f} s{_memory()}")
    return destination


def write(
    built: vgg16.Vgg16,
    score: Score,
    destination: Path,
    *,
    half: bool = False,
    int8: bool = False,
    images: Images | None = None,
    calibration: Images | None = None,
    methods: Sequence[str] = (METHOD,),
    layers: Sequence[str] = (),
    say: Say = lambda _: None,
) -> None:
    """Convert a network, append the head, verify it, and move the file in place; writes no file on failure."""
    network, built = built.network, built._replace(network=None)  # so that its memory can be released
    height, width = network.input_shape[1:3]
    if images is None:
        images = scenes(SCENES, height, width)
        say("Verified with synthetic scenes; with photographs: --verify-with DIR")
    destination.parent.mkdir(parents=True, exist_ok=True)
    # In the destination's folder, so that the final move is atomic.
    with tempfile.TemporaryDirectory(prefix=".whycam-export-", dir=destination.parent) as folder:
        draft = Path(folder) / "float.onnx"
        if half:
            vgg16.round_to_half(network)  # verified with the weights that the file holds
        plain = vgg16.to_classifier(network)
        _let_go()
        plain = store_half(plain) if half else plain
        if int8:
            from whycam.export.precision import int8 as quantization

            quantization.store(plain, Path(folder) / "plain.onnx")
        note = ", in half precision" if half else ", in 8 bits" if int8 else ""
        about = partial(_contract, built, score=score, labels=_labels(network.output_shape[-1]), note=note)
        append = partial(append_cam, score=score, method=methods, layer=layers or None, replaceable=not int8)
        made = _save(append(plain), about, draft)
        del plain
        _let_go()
        parity = metadata_of(_verified(draft, made, images, say, network))
        if made.last_layer is not None:
            say(str(check_other_classes(draft, made, images)))
        if int8:
            say("The file's classes cannot be replaced by others, because it is quantized to 8 bits.")
            del network
            _let_go()
            draft, made, parity = _quantized(Path(folder), append, about, images, calibration, say)
        _let_go()
        final = Path(folder) / destination.name
        save(onnx.load(draft), made.with_parity(parity), final)
        final.replace(destination)


def read_images(folder: Path, size: tuple[int, int]) -> Images:
    """Up to 64 images of a folder, spread evenly over it, fitted to the network: (N, *size, 3)."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"There is no image in {folder}; give a folder with JPEG, PNG or WebP files.")
    chosen = [files[place] for place in np.linspace(0, len(files) - 1, min(len(files), MAX_EXAMPLES)).astype(int)]
    fit = Fit(FIT, size)
    return np.stack([fit.image(av.VideoFrame.from_ndarray(read_image(path), "rgb24")) for path in chosen])


def _check_tools() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the processor
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its faster convolutions double the rounding error
    check_needs()


def _verified(
    draft: Path, made: Contract, images: Images, say: Say, network: Any | None = None
) -> dict[str, Agreement]:
    """How each map of a draft agrees with its references, `network` in Keras among them; raises `Disagreement`."""
    found = {}
    for spec in made.listed_maps():
        autodiff = None if network is None else partial(_of_keras, network, images, made.score, spec.method)
        found[spec.output] = agreement = compare(draft, images, autodiff=autodiff, output=spec.output)
        say(str(agreement) if len(made.listed_maps()) == 1 else f"{spec.method} at {spec.layer}: {agreement}")
        agreement.check()
    return found


def _of_keras(
    network: Any,
    images: Images,
    score: Score,
    method: str,
    classes: NDArray[np.int64],
    features: NDArray[np.float32],
) -> Autodiff:
    from whycam.export.verify.keras_autodiff import KerasNetwork

    explained: Score = "logit" if method == SIGNED else score
    inputs = vgg16.prepared(images)
    question = Question(inputs, features, classes, explained, SINGLE_LABEL, "probabilities", method)
    return KerasNetwork(network).autodiff(question)


def _quantized(
    folder: Path,
    append: Callable[[ModelProto], ModelProto],
    about: Callable[..., Contract],
    images: Images,
    calibration: Images | None,
    say: Say,
) -> tuple[Path, Contract, dict[str, Any]]:
    """The quantized model made from a folder's float model, its contract, and its agreement."""
    from whycam.export.precision import int8 as quantization

    # The scenes are always included, because images of another place exceed the ranges from photographs of one place.
    ranging = [scenes(SCENES, *images.shape[1:3], seed=1), *([] if calibration is None else [calibration])]
    if calibration is None:
        say("Calibrated with synthetic scenes; with photographs like those to explain: --calibrate-with DIR")
    path = folder / "int8.onnx"
    quantized = quantization.quantize(folder / "plain.onnx", np.concatenate(ranging))
    made = _save(append(quantized), about, path)
    agreements = _verified(path, made, images, say)
    fidelity = quantization.compare_with_float(path, folder / "float.onnx", images)
    say(str(fidelity))
    fidelity.check()
    return path, made, metadata_of(agreements) | {"float32_correlation": round(fidelity.correlation, 4)}


def _save(model: ModelProto, about: Callable[..., Contract], path: Path) -> Contract:
    return save(model, about(feature=appended(model)[0].layer), path)


def _contract(
    built: vgg16.Vgg16,
    *,
    score: Score,
    labels: tuple[str, ...],
    feature: str,
    note: str,
) -> Contract:
    return Contract(
        name="vgg16",
        labels=labels,
        fit=FIT,
        score=score,
        feature=feature,
        weights_source=built.source + note,
        weights_sha256=built.sha256,
        licence=built.licence,
        made_by=", ".join(f"{tool} {metadata.version(tool)}" for tool in TOOLS),
    )


def _labels(count: int) -> tuple[str, ...]:
    names = LABELS.read_text("utf-8").splitlines()
    return tuple(names) if len(names) == count else tuple(f"class {number}" for number in range(count))


def _let_go() -> None:
    """Return freed memory to the system: of what tf2onnx frees, the C library keeps a gigabyte."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
        if trim is not None:
            trim(0)


def _memory() -> str:
    """This process's peak memory, in words; empty on Windows, which has no such number."""
    if sys.platform == "win32":
        return ""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return f", with at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9:.1f} GB of memory"

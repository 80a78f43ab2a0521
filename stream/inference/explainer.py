"""The onnxruntime session of one explainable model. At run time the only module that imports onnxruntime."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whycam.models.contract import HEATMAPS, Contract, ContractError, Tensor, read_contract
from whycam.models.pruning import keep_outputs
from whycam.stream.inference.map_region import place
from whycam.stream.inference.providers import CUDA, TENSORRT, Device, prepare_tensorrt, providers, why_not

if TYPE_CHECKING:
    import onnxruntime

BEST = tuple(range(-1, -6, -1))
"""Targets that mean 'the five best classes, best first'."""

MAX_PINNED = 5
"""Pinned classes that may be explained beside them, or instead."""

MAX_BINDINGS = 16
"""Shapes for which GPU buffers are kept."""


class RuntimeMissing(RuntimeError):
    """A required package, such as onnxruntime, is not installed; says how to install it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Scores and heatmaps of N images with K classes each, as in the model's contract."""

    scores: NDArray[np.float32]  # (N, C) probabilities
    classes: NDArray[np.int64]  # (N, K)
    heatmaps: NDArray[np.float32]  # (N, K, h, w) in 0…1, over the whole input (see `map_region`)
    evidence: NDArray[np.float32]  # (N, K) each map's maximum before normalisation

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: slice) -> Explanation:
        """The explanations of some of the images."""
        return Explanation(self.scores[index], self.classes[index], self.heatmaps[index], self.evidence[index])


class Explainer:
    """Runs an explainable ONNX file: `Explainer(path).explain(images, [-1])`.

    Raises `ContractError` for a file that is missing, damaged or not explainable, and `RuntimeMissing` if onnxruntime
    is not installed. `threads` is the number that onnxruntime may use for one image; 0 lets it choose. `output` is the
    map that is computed, one of the contract's `listed_maps`; no other is. One thread uses an `Explainer` at a time.
    """

    def __init__(self, path: Path, *, device: Device = "auto", threads: int = 0, output: str = HEATMAPS) -> None:
        self.path = path
        session = _open(path, path, device, threads)
        self.contract = _read(path, session)
        self.map = self.contract.map_of(output)
        """What is drawn."""
        if not self.map.maxima:
            raise ContractError(
                f"{path} has no evidence of its map '{output}', so it cannot be drawn. Export it again."
            )
        self._outputs = ("scores", "classes", self.map.output, self.map.maxima)
        if {each.name for each in session.get_outputs()} != set(self._outputs):
            del session  # so that the weights are in memory only once
            session = _open(path, keep_outputs(path.read_bytes(), self._outputs), device, threads)
        self._session = session
        self.device_problem = why_not(device, self.providers, available_providers())
        """One sentence if the model does not run on the requested device, else None."""
        on_gpu = self.providers[0] in (CUDA, TENSORRT)
        outputs = self._outputs
        self._run = _Bound(self._session, "cuda", outputs) if on_gpu else _plain_run(self._session, outputs)

    @cached_property
    def sha256(self) -> str:
        """The model file's checksum, in hexadecimal."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def providers(self) -> list[str]:
        """The execution providers that really run the model, not those that were asked for."""
        return list(self._session.get_providers())

    def explain(self, images: NDArray[np.uint8], targets: Sequence[int] | NDArray[np.int64]) -> Explanation:
        """Explain N RGB images (N, H, W, 3) for K targets each.

        `targets` is one row of K for all images, or (N, K). A target is a class number, or −1−j for the j-th best
        class. Raises `ValueError` for images of another shape or type and for targets out of range.
        """
        checked = checked_images(self.contract, images)
        found = Explanation(*self._run(checked, checked_targets(self.contract, targets, len(checked))))
        if found.scores.shape[1] != len(self.contract.labels):  # known only now for a file that leaves C open
            raise ContractError(
                f"{self.path} scores {found.scores.shape[1]} classes and names {len(self.contract.labels)}. Export it "
                "with its own labels."
            )
        return replace(found, heatmaps=place(found.heatmaps, self.map.region))


def checked_images(contract: Contract, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`images` as a contiguous array; raises `ValueError` for a shape or type that the model does not take."""
    height, width = contract.input_size
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3) or not images.size:
        raise ValueError(
            f"{contract.name} takes uint8 images (N, {height}, {width}, 3), "
            f"these are {images.dtype} {images.shape}. Fit them with whycam.stream.inference.preprocess.Fit."
        )
    return np.ascontiguousarray(images)


def checked_targets(contract: Contract, targets: Sequence[int] | NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`targets` as an (N, K) array for N = `count`; raises `ValueError` for one that is not a class of the model."""
    target = np.asarray(targets, np.int64)
    if target.ndim == 1:
        target = np.broadcast_to(target, (count, len(target)))
    classes = len(contract.labels)
    if target.ndim != 2 or len(target) != count:
        raise ValueError(f"Targets should be K numbers or an array ({count}, K), their shape is {target.shape}.")
    outside = target[(target < -classes) | (target >= classes)]
    if outside.size:
        raise ValueError(
            f"{contract.name} has classes 0 to {classes - 1} (or −1 the best to −{classes} the last), "
            f"not {', '.join(str(number) for number in np.unique(outside))}."
        )
    return np.ascontiguousarray(target)


def evaluate(
    model: bytes, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str], *, batch: int | None = None
) -> list[NDArray[Any]]:
    """Outputs of any ONNX graph, on the CPU: for checks of intermediate values, not for explaining.

    At most `batch` rows of the feeds are run at a time; the outputs are concatenated.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    count = max((len(feed) for feed in feeds.values()), default=1)
    step = batch or max(count, 1)
    parts = [
        session.run(list(outputs), {name: feed[start : start + step] for name, feed in feeds.items()})
        for start in range(0, max(count, 1), step)
    ]
    return [np.concatenate(values) if len(values) > 1 else values[0] for values in zip(*parts, strict=True)]


Run: TypeAlias = Callable[[NDArray[np.uint8], NDArray[np.int64]], Sequence[NDArray[Any]]]
"""Images and targets in; scores, classes, maps and their maxima out."""


def _plain_run(session: onnxruntime.InferenceSession, outputs: Sequence[str]) -> Run:
    def run(images: NDArray[np.uint8], targets: NDArray[np.int64]) -> Sequence[NDArray[Any]]:
        found: Sequence[NDArray[Any]] = session.run(list(outputs), {"image": images, "target": targets})
        return found

    return run


class _Bound:
    """Runs the model with device buffers, allocated once for each shape; only image, targets and outputs are copied."""

    def __init__(self, session: onnxruntime.InferenceSession, device: str, outputs: Sequence[str]) -> None:
        self._session = session
        self._device = device
        self._outputs = outputs
        self._bindings: dict[tuple[int, int], tuple[Any, Any, Any]] = {}

    def __call__(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> Sequence[NDArray[Any]]:
        if targets.shape not in self._bindings:
            if len(self._bindings) >= MAX_BINDINGS:
                self._bindings.clear()
            self._bindings[len(targets), targets.shape[1]] = self._bind(images, targets)
        binding, image, target = self._bindings[len(targets), targets.shape[1]]
        image.update_inplace(images)
        target.update_inplace(targets)
        self._session.run_with_iobinding(binding)
        outputs: Sequence[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return outputs

    def _bind(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        import onnxruntime

        binding = self._session.io_binding()
        image = onnxruntime.OrtValue.ortvalue_from_numpy(images, self._device, 0)
        target = onnxruntime.OrtValue.ortvalue_from_numpy(targets, self._device, 0)
        binding.bind_ortvalue_input("image", image)
        binding.bind_ortvalue_input("target", target)
        for name in self._outputs:
            binding.bind_output(name, self._device, 0)
        return binding, image, target


def available_providers() -> list[str]:
    """The execution providers that the installed onnxruntime was built with; raises `RuntimeMissing`."""
    return list(_onnxruntime().get_available_providers())


def _onnxruntime() -> ModuleType:
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissing(
            "whycam needs onnxruntime to run a model. Install one of: pip install 'whycam[cpu]' "
            "(any computer), pip install 'whycam[gpu]' (NVIDIA, CUDA 13 or newer)."
        ) from error
    return onnxruntime  # type: ignore[no-any-return, unused-ignore]


def _open(path: Path, model: Path | bytes, device: Device, threads: int) -> onnxruntime.InferenceSession:
    """A session of a file, or of the bytes of its pruned graph."""
    onnxruntime = _onnxruntime()
    if not path.is_file():
        raise ContractError(f"There is no model file {path}. `whycam models` lists those that are ready.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only; warnings about the graph are for its author
    # Threads that spin between two frames would take the cores that decode and encode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The folder of external weights, which is needed when the model is opened from bytes.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path.parent.absolute())
    )
    wanted = providers(device, onnxruntime.get_available_providers())
    if any(name == TENSORRT for name, _ in wanted):
        prepare_tensorrt()
    if any(name == CUDA for name, _ in wanted):
        onnxruntime.preload_dlls()  # the extra `gpu`'s CUDA and cuDNN wheels are not on the library path
    try:
        return onnxruntime.InferenceSession(model, options, providers=wanted)
    except Exception as error:  # onnxruntime's exceptions have no common base class
        reason = str(error).splitlines()[0].rpartition("failed:")[2]
        raise ContractError(
            f"{path} is not an ONNX model, or it is damaged. Export it again. (onnxruntime says: {reason})"
        ) from error


def _read(path: Path, session: onnxruntime.InferenceSession) -> Contract:
    def tensors(args: Sequence[onnxruntime.NodeArg]) -> list[Tensor]:
        return [Tensor(arg.name, arg.type, arg.shape) for arg in args]

    try:
        return read_contract(
            session.get_modelmeta().custom_metadata_map, tensors(session.get_inputs()), tensors(session.get_outputs())
        )
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"{path} is damaged: a name in it is not UTF-8 text ({error}). Export it again.") from error

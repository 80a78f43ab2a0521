"""The onnxruntime session of one explainable model. At run time the only module that imports onnxruntime."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whycam.models.class_set import ClassSet
from whycam.models.contract import HEATMAPS, Contract, ContractError, LastLayer, Tensor, read_contract
from whycam.models.described import describe
from whycam.models.pruning import keep_outputs
from whycam.stream.inference.explanation import Explanation
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


class Explainer:
    """Runs an explainable ONNX file: `Explainer(path).explain(images, [-1])`.

    Raises `ContractError` for a file that is missing, damaged or not explainable, and `RuntimeMissing` if onnxruntime
    is not installed. `threads` is the number that onnxruntime may use for one image; 0 lets it choose. `output` is the
    map that is computed, one of the contract's `drawable_maps`; no other is, but for the `signed` one of the same layer
    if it is asked for and the file has it. One thread uses an `Explainer` at a time.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: Device = "auto",
        threads: int = 0,
        output: str = HEATMAPS,
        signed: bool = False,
    ) -> None:
        self.path = path
        session = None
        known = _described(path, output)
        if known is None:
            session = _open(path, path, device, threads)
            known = _read(path, session, output), _tensors(session.get_outputs())
        contract, held = known
        further = contract.signed_map() if signed else None
        drawn = contract.drawn_map()
        # By the names that `Explanation` has for them.
        self._outputs = {"scores": "scores", "classes": "classes", "heatmaps": drawn.output, "evidence": drawn.maxima}
        if further:
            self._outputs["signed"] = further.output
        if contract.last_layer:
            self._outputs["embedding"] = contract.last_layer.embedding
        if {each.name for each in held} != set(self._outputs.values()):
            session = None  # so that the weights are in memory only once
            session = _open(path, _pruned(path, self._outputs.values()), device, threads)
        self._session = session or _open(path, path, device, threads)
        self.contract = _read(path, self._session, output, held)
        _check_last_layer(path, self.contract.last_layer, self._session)
        self.map = self.contract.drawn_map()
        """What is drawn."""
        self.device_problem = why_not(device, self.providers, available_providers())
        """One sentence if the model does not run on the requested device, else None."""
        on_gpu = self.providers[0] in (CUDA, TENSORRT)
        outputs = list(self._outputs.values())
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

    def explain(
        self,
        images: NDArray[np.uint8],
        targets: Sequence[int] | NDArray[np.int64],
        class_set: ClassSet | None = None,
    ) -> Explanation:
        """Explain N RGB images (N, H, W, 3) for K targets each, with the model's own classes or those of `class_set`.

        `targets` is one row of K for all images, or (N, K). A target is a class number, or −1−j for the j-th best
        class. Raises `ValueError` for images of another shape or type, for targets out of range, and for a class set
        that the model's last layer does not take.
        """
        checked = checked_images(self.contract, images)
        labels = self.contract.labels if class_set is None else class_set.labels
        feeds: dict[str, NDArray[Any]] = {
            "image": checked,
            "target": checked_targets(self.contract, targets, len(checked), class_set),
        }
        if class_set is not None:
            feeds |= self._weights_of(class_set)
        values: dict[str, Any] = dict(zip(self._outputs, self._run(feeds), strict=True))
        found = Explanation(**values)
        if found.scores.shape[1] != len(labels):  # known only now for a file that leaves C open
            raise ContractError(
                f"{self.path} scores {found.scores.shape[1]} classes and names {len(labels)}. Export it with its own "
                "labels."
            )
        signed = None if found.signed is None else place(found.signed, self.map.region)
        heatmaps = place(found.heatmaps, self.map.region)
        return replace(found, heatmaps=heatmaps, signed=signed, class_set="" if class_set is None else class_set.id)

    def _weights_of(self, class_set: ClassSet) -> dict[str, NDArray[Any]]:
        """The graph's inputs that replace its last layer."""
        layer = self.contract.last_layer
        assert layer is not None  # `checked_targets` has seen it
        weights = class_set.weights.T if layer.transposed else class_set.weights
        return {layer.weights: np.ascontiguousarray(weights), layer.bias: class_set.bias}


def checked_images(contract: Contract, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`images` as a contiguous array; raises `ValueError` for a shape or type that the model does not take."""
    height, width = contract.input_size
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3) or not images.size:
        raise ValueError(
            f"{contract.name} takes uint8 images (N, {height}, {width}, 3), "
            f"these are {images.dtype} {images.shape}. Fit them with whycam.stream.inference.preprocess.Fit."
        )
    return np.ascontiguousarray(images)


def checked_targets(
    contract: Contract,
    targets: Sequence[int] | NDArray[np.int64],
    count: int,
    class_set: ClassSet | None = None,
) -> NDArray[np.int64]:
    """`targets` as an (N, K) array for N = `count`; raises `ValueError` for one that is no class of model or set.

    Also for a class set that does not fit the model.
    """
    classes, name = len(contract.labels), contract.name
    if class_set is not None:
        check_class_set(contract, class_set)
        classes, name = len(class_set.labels), "The class set"
    target = np.asarray(targets, np.int64)
    if target.ndim == 1:
        target = np.broadcast_to(target, (count, len(target)))
    if target.ndim != 2 or len(target) != count:
        raise ValueError(f"Targets should be K numbers or an array ({count}, K), their shape is {target.shape}.")
    outside = target[(target < -classes) | (target >= classes)]
    if outside.size:
        raise ValueError(
            f"{name} has classes 0 to {classes - 1} (or −1 the best to −{classes} the last), "
            f"not {', '.join(str(number) for number in np.unique(outside))}."
        )
    return np.ascontiguousarray(target)


def check_class_set(contract: Contract, class_set: ClassSet) -> None:
    """Raise `ValueError` if the model's last layer cannot be replaced by this class set's."""
    layer = contract.last_layer
    if layer is None:
        raise ValueError(f"The last layer of {contract.name} cannot be replaced. `whycam export` it again.")
    width = len(class_set.weights)
    if width != layer.width:
        raise ValueError(
            f"The class set was learned from vectors of {width} numbers, those of {contract.name} have {layer.width}."
        )


def evaluate(
    model: bytes, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str], *, batch: int | None = None
) -> list[NDArray[Any]]:
    """Outputs of any ONNX graph, on the CPU: for checks of intermediate values, not for explaining.

    At most `batch` rows of the feeds are run at a time; the outputs are concatenated.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # an error is raised, and need not be printed too
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    count = max((len(feed) for feed in feeds.values()), default=1)
    step = batch or max(count, 1)
    parts = [
        session.run(list(outputs), {name: feed[start : start + step] for name, feed in feeds.items()})
        for start in range(0, max(count, 1), step)
    ]
    return [np.concatenate(values) if len(values) > 1 else values[0] for values in zip(*parts, strict=True)]


Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"""Of the inputs, by name."""
Run: TypeAlias = Callable[[Mapping[str, NDArray[Any]]], Sequence[NDArray[Any]]]
"""Inputs by their names in; the values of the chosen outputs out, in their order."""


def _plain_run(session: onnxruntime.InferenceSession, outputs: Sequence[str]) -> Run:
    def run(feeds: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        found: Sequence[NDArray[Any]] = session.run(list(outputs), dict(feeds))
        return found

    return run


class _Bound:
    """Runs the model with device buffers, allocated once for each set of shapes; only inputs and outputs are copied."""

    def __init__(self, session: onnxruntime.InferenceSession, device: str, outputs: Sequence[str]) -> None:
        self._session = session
        self._device = device
        self._outputs = outputs
        self._bindings: dict[Shapes, tuple[Any, dict[str, Any]]] = {}

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        shapes = tuple((name, values.shape) for name, values in feeds.items())
        if shapes not in self._bindings:
            if len(self._bindings) >= MAX_BINDINGS:
                self._bindings.clear()
            self._bindings[shapes] = self._bind(feeds)
        binding, inputs = self._bindings[shapes]
        for name, values in feeds.items():
            inputs[name].update_inplace(values)
        self._session.run_with_iobinding(binding)
        outputs: Sequence[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return outputs

    def _bind(self, feeds: Mapping[str, NDArray[Any]]) -> tuple[Any, dict[str, Any]]:
        import onnxruntime

        binding = self._session.io_binding()
        inputs = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(values, self._device, 0) for name, values in feeds.items()
        }
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, self._device, 0)
        return binding, inputs


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


def _described(path: Path, output: str) -> tuple[Contract, list[Tensor]] | None:
    """The contract and the outputs of a file; None if onnxruntime has to say them, or what is wrong with it.

    onnxruntime takes longer to open all maps of a file than to open one.
    """
    try:
        found = describe(path)
        contract = read_contract(found.metadata, found.inputs, found.outputs).draws(output)
    except (ValueError, OSError):
        return None
    return contract, found.outputs


def _pruned(path: Path, outputs: Collection[str]) -> bytes | Path:
    """The graph with these outputs; the file itself if it is damaged, which onnxruntime says in its words."""
    try:
        return keep_outputs(path.read_bytes(), outputs)
    except ValueError:
        return path


def _check_last_layer(path: Path, layer: LastLayer | None, session: onnxruntime.InferenceSession) -> None:
    """Raise `ContractError` if the inputs that replace the last layer are not there, or of another type or shape."""
    if layer is None:
        return
    found = {each.name: each for each in _tensors(session.get_overridable_initializers())}
    sizes: list[int | str] = ["C", layer.width] if layer.transposed else [layer.width, "C"]
    for name, expected in ((layer.weights, sizes), (layer.bias, ["C"])):
        is_ = f"{found[name].type} {list(found[name].shape)}" if name in found else "not there"
        fits = name in found and found[name].type == "tensor(float)" and len(found[name].shape) == len(expected)
        if not fits or any(
            isinstance(size, int) if wanted == "C" else size != wanted
            for wanted, size in zip(expected, found[name].shape, strict=True)
        ):
            raise ContractError(
                f"{path}: whycam.last_layer needs an input '{name}' with a default, tensor(float) {expected}, which "
                f"takes any number of classes; it is {is_}. Export the model again."
            )


def _tensors(args: Sequence[onnxruntime.NodeArg]) -> list[Tensor]:
    return [Tensor(arg.name, arg.type, arg.shape) for arg in args]


def _read(path: Path, session: onnxruntime.InferenceSession, output: str, held: Sequence[Tensor] = ()) -> Contract:
    """The contract as onnxruntime knows it, which infers sizes; `held` are the file's outputs, also the pruned ones."""
    outputs = _tensors(session.get_outputs())
    outputs += [each for each in held if each.name not in {kept.name for kept in outputs}]
    try:
        metadata = session.get_modelmeta().custom_metadata_map
        return read_contract(metadata, _tensors(session.get_inputs()), outputs).draws(output)
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"{path} is damaged: a name in it is not UTF-8 text ({error}). Export it again.") from error

"""The onnxruntime session of one explainable model. The only module that imports onnxruntime."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.contract import Contract, ContractError, Tensor, read_contract

if TYPE_CHECKING:
    import onnxruntime

BEST = tuple(range(-1, -6, -1))
"""Targets that mean 'the five best classes, best first'."""


class RuntimeMissing(RuntimeError):
    """Neither onnxruntime nor onnxruntime-gpu is installed."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Scores and heatmaps of N pictures, K classes each; the arrays are those of the model's contract."""

    scores: NDArray[np.float32]  # (N, C) probabilities
    classes: NDArray[np.int64]  # (N, K)
    heatmaps: NDArray[np.float32]  # (N, K, h, w) in 0…1
    evidence: NDArray[np.float32]  # (N, K) each map's maximum before it was normalised

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: slice) -> Explanation:
        """The explanations of some of the pictures."""
        return Explanation(self.scores[index], self.classes[index], self.heatmaps[index], self.evidence[index])


class Explainer:
    """Runs an explainable ONNX file: `Explainer(path).explain(pictures, [-1])`.

    Raises `ContractError` for a file that is missing, damaged or not explainable, and `RuntimeMissing` where
    onnxruntime is not installed. `threads` is what onnxruntime may use for one picture; 0 lets it choose.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self.path = path
        self._session = _open(path, threads)
        self.contract = _read(path, self._session)

    @cached_property
    def sha256(self) -> str:
        """The model file's checksum, in hexadecimal."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def providers(self) -> list[str]:
        """The execution providers that really run the model, not those that were asked for."""
        return list(self._session.get_providers())

    def explain(self, pictures: NDArray[np.uint8], targets: Sequence[int] | NDArray[np.int64]) -> Explanation:
        """Explain N RGB pictures (N, H, W, 3) for K targets each.

        `targets` is one row of K for all pictures, or (N, K). A target is a class number, or −1−j for the j-th best
        class. Raises `ValueError` for pictures of another shape or type and for targets out of range.
        """
        height, width = self.contract.size
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != (height, width, 3):
            raise ValueError(
                f"{self.contract.name} takes uint8 pictures (N, {height}, {width}, 3), "
                f"these are {pictures.dtype} {pictures.shape}. Fit them with stream.fit.Fit."
            )
        target = self.check_targets(targets, len(pictures))
        scores, classes, heatmaps, evidence = self._session.run(
            ["scores", "classes", "heatmaps", "evidence"],
            {"image": np.ascontiguousarray(pictures), "target": target},
        )
        return Explanation(scores, classes, heatmaps, evidence)

    def check_targets(self, targets: Sequence[int] | NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """`targets` as an (N, K) array; raises `ValueError` for one that is not a class of this model."""
        target = np.asarray(targets, np.int64)
        if target.ndim == 1:
            target = np.broadcast_to(target, (count, len(target)))
        classes = len(self.contract.labels)
        if target.ndim != 2 or len(target) != count:
            raise ValueError(f"Targets should be K numbers or an array ({count}, K), their shape is {target.shape}.")
        outside = target[(target < -classes) | (target >= classes)]
        if outside.size:
            raise ValueError(
                f"{self.contract.name} has classes 0 to {classes - 1} (or −1 the best to −{classes} the last), "
                f"not {', '.join(str(t) for t in outside)}."
            )
        return np.ascontiguousarray(target)


def evaluate(model: bytes, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> list[NDArray[Any]]:
    """Outputs of any ONNX graph, on the processor: for checks that look inside a model, not for explaining."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    values: list[NDArray[Any]] = session.run(list(outputs), dict(feeds))
    return values


def _open(path: Path, threads: int) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissing(
            "whycam needs onnxruntime to run a model. Install one of: pip install 'whycam[cpu]' "
            "(any computer), pip install 'whycam[gpu]' (NVIDIA, CUDA 13 or newer)."
        ) from error
    if not path.is_file():
        raise ContractError(f"There is no model file {path}. `whycam models` lists those that are ready.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors; warnings about the graph are for its author, not for its user
    # Threads that spin between two frames would take the cores that decode and encode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=onnxruntime.get_available_providers())
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        reason = str(error).splitlines()[0]
        raise ContractError(f"{path} is not a model that onnxruntime can read ({reason}). Export it again.") from error


def _read(path: Path, session: onnxruntime.InferenceSession) -> Contract:
    def tensors(args: Sequence[onnxruntime.NodeArg]) -> list[Tensor]:
        return [Tensor(arg.name, arg.type, arg.shape) for arg in args]

    try:
        return read_contract(
            session.get_modelmeta().custom_metadata_map, tensors(session.get_inputs()), tensors(session.get_outputs())
        )
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error

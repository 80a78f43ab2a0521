"""Quantizes a classifier to 8-bit integers for the processor: its convolutions, and its first and largest dense layer.

The layers after that one and the CAM head stay in float32: they cost little, and the head then reads gates of float
values. Quantization is static and per channel, in onnxruntime's QDQ format.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from whycam.export.graph.onnx_graph import Graph
from whycam.export.head.covered import DENSE
from whycam.export.head.ends import find_ends
from whycam.export.head.tail import find_tail
from whycam.export.verify.activations import BATCH
from whycam.export.verify.agreement import Disagreement
from whycam.stream.inference.explainer import Explainer

WORST_CORRELATION = 0.95
"""The least mean correlation of the heatmaps with those of float32; below it a model is refused."""
WORTHWHILE = 1.2
"""The least speed-up over float32; below it the report advises against 8 bits."""
PAIRS = 9
CPUINFO = Path("/proc/cpuinfo")


def store(plain: ModelProto, path: Path) -> None:
    """Write a plain classifier for `quantize`, marked as already preprocessed for onnxruntime."""
    add_pre_process_metadata(plain)
    onnx.save(plain, path)


def quantize(plain: Path, images: NDArray[np.uint8], *, cpuinfo: Path = CPUINFO) -> ModelProto:
    """The plain classifier of a file in 8 bits; each tensor's range is the average of its ranges on `images`.

    Images are (N, H, W, 3). A tensor has 256 levels. A range up to the largest value of any image would make them too
    coarse for the other images, so a few values of a few images are clipped instead.
    """
    graph = Graph(onnx.load(plain))
    _, tail = find_tail(graph, find_ends(graph))
    first = next(node for node in reversed(tail) if node.op_type in DENSE)
    kept = [node.name for node in tail if node is not first]
    del graph
    with tempfile.TemporaryDirectory(dir=plain.parent) as folder:
        path = Path(folder) / "quantized.onnx"
        quantize_static(
            plain,
            path,
            _Images(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "MaxPool", "Relu"],
            per_channel=True,
            # Sums of 8-bit products in 16 bits saturate unless the weights leave a bit unused.
            reduce_range=not adds_in_32_bits(cpuinfo),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            extra_options={"CalibMovingAverage": True, "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
        )
        return onnx.load(path)


def adds_in_32_bits(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processor has VNNI, which adds 8-bit products in 32 bits; False if that is unknown."""
    try:
        text = cpuinfo.read_text("ascii", errors="replace")
    except OSError:
        return False
    flags = next((line.split(":")[1].split() for line in text.splitlines() if line.startswith("flags")), [])
    return bool({"avx512_vnni", "avx_vnni"} & set(flags))


class _Images(CalibrationDataReader):  # type: ignore[misc] # onnxruntime is untyped
    """Feeds images to the calibration, one at a time."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._rows: Iterator[NDArray[np.uint8]] = (images[row : row + 1] for row in range(len(images)))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        row = next(self._rows, None)
        return None if row is None else {"image": row}


class Fidelity(NamedTuple):
    """A quantized model compared with its float32 original."""

    speed: float
    """The speed-up, the median of interleaved pairs on this computer."""
    correlation: float
    """The correlation of the heatmaps of the same classes, the mean over the maps that are not empty in both."""
    tenth: float
    """The 10th percentile of these correlations."""
    same_best: float
    """The share of images with the same best class in both."""

    def check(self) -> None:
        """Raise `Disagreement` if the heatmaps differ too much from those of float32."""
        if not self.correlation >= WORST_CORRELATION:
            raise Disagreement(
                f"In 8 bits the heatmaps correlate {self.correlation:.3f} with those of float32; at least "
                f"{WORST_CORRELATION} is needed. Calibrate with images like those to explain: --calibrate-with DIR"
            )

    def __str__(self) -> str:
        text = (
            f"8 bits against float32: {self.speed:.2f} times as fast, heatmaps correlate {self.correlation:.3f} "
            f"(10th percentile {self.tenth:.3f}), the best class is the same in {self.same_best:.0%} of the images"
        )
        # Some processors, such as AMD's first EPYC, multiply 8-bit integers no faster than floats.
        return (
            text if self.speed >= WORTHWHILE else f"{text}. This processor gains too little: float32 serves it better"
        )


def compare_with_float(quantized: Path, original: Path, images: NDArray[np.uint8]) -> Fidelity:
    """Run two explainable models on images (N, H, W, 3) and compare the heatmaps of the original's best class."""
    explainers = Explainer(original), Explainer(quantized)
    maps, best = [], []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        theirs = explainers[0].explain(batch, [-1])
        ours = explainers[1].explain(batch, theirs.classes)
        maps.append((ours.heatmaps, theirs.heatmaps))
        best.append(ours.scores.argmax(1) == theirs.scores.argmax(1))
    found = correlations(*(np.concatenate(each) for each in zip(*maps, strict=True)))
    same = np.concatenate(best)
    return Fidelity(
        _speed(*explainers, images[:1]),
        float(found.mean()) if found.size else float("nan"),
        float(np.percentile(found, 10)) if found.size else float("nan"),
        float(same.mean()),
    )


def correlations(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Pearson's correlation of each pair of maps (N, K, h, w): 0 if one is empty; pairs of empty maps are skipped."""
    first, second = (maps.reshape(-1, maps.shape[2] * maps.shape[3]).astype(np.float64) for maps in (ours, theirs))
    kept = first.any(1) | second.any(1)
    first, second = (maps[kept] - maps[kept].mean(1, keepdims=True) for maps in (first, second))
    spread = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    found = np.zeros(len(first))
    np.divide((first * second).sum(1), spread, out=found, where=spread > 0)
    return found


def _speed(original: Explainer, quantized: Explainer, image: NDArray[np.uint8]) -> float:
    ratios = []
    for pair in range(PAIRS + 1):
        times = []
        for explainer in (original, quantized):
            start = perf_counter()
            explainer.explain(image, [-1])
            times.append(perf_counter() - start)
        if pair:  # the first is a warm-up
            ratios.append(times[0] / times[1])
    return float(np.median(ratios))

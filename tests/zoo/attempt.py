"""`python -m tests.zoo.attempt KEY FILE`: tries one network, in a process of its own, and adds its row to a file."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from onnx import ModelProto

from tests.bench import head_cost
from tests.zoo.row import Cost, Row
from tests.zoo.trial import NotHad, Trial, Tried
from tests.zoo.trials import trials
from whycam.export import exporter
from whycam.export.head.onnx_graph import DOMAINS
from whycam.export.verify.synthetic_images import scenes
from whycam.stream.inference.explainer import BEST, Explainer
from whycam.stream.media.image import write_image

IMAGES = exporter.ASKED
"""Verified with as many as a framework is asked for."""
SIDE = 320
"""Height and width of these images, in pixels."""
PAIRS, PAIRS_OF_SMALL, SMALL = 15, 51, 40_000_000
"""Runs with and without head for the cost; more for a file below so many bytes, whose runs are short."""
PACKAGES = (
    *("torch", "torchvision", "timm", "transformers", "ultralytics", "onnxscript"),
    *("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime"),
)
SPEEDS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "VNNI"}
"""What decides how fast a processor multiplies, as it says and as people say."""
CPUINFO = Path("/proc/cpuinfo")


def main() -> None:
    """Try it and add its row."""
    key, rows = sys.argv[1], Path(sys.argv[2])
    row = attempt(trials()[key])
    with rows.open("a", encoding="utf-8") as file:
        file.write(row.to_json() + "\n")


def attempt(trial: Trial) -> Row:
    """The row of a network; a fault of the exporter raises."""
    row = Row(trial.key, "refused", machine=machine(), load=round(os.getloadavg()[0], 1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            tried = trial.make(folder)
            row = replace(row, opset=opset_of(tried.classifier.model), packages=packages())
            return _explained(row, tried, folder)
        except NotHad as error:
            return replace(row, outcome="not had", sentence=str(error))
        except ValueError as error:
            return replace(row, sentence=str(error).replace(f"{folder}/", ""))


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's operators that a graph uses."""
    return max(int(entry.version) for entry in model.opset_import if entry.domain in DOMAINS)


def packages() -> tuple[str, ...]:
    """Those of `PACKAGES` that this process has imported, with their versions."""
    found = [name for name in PACKAGES if name in sys.modules]
    return tuple(f"{name} {sys.modules[name].__version__.partition('+')[0]}" for name in found)


def machine() -> str:
    """What is known of the processor."""
    try:
        text = CPUINFO.read_text("ascii", errors="replace")
    except OSError:
        text = ""
    flags = set(next((line.split(":")[1] for line in text.splitlines() if line.startswith("flags")), "").split())
    known = [name for flag, name in SPEEDS.items() if flag in flags]
    return ", ".join([f"{os.cpu_count()} cores ({platform.machine()})", *known])


def _explained(row: Row, tried: Tried, folder: Path) -> Row:
    images = folder / "images"
    images.mkdir()
    for number, image in enumerate(scenes(IMAGES, SIDE, SIDE)):
        write_image(images / f"{number}.png", image)
    path = folder / "explainable.onnx"
    wanted = replace(tried.wanted, name="tried", verify_with=images)
    agreement = exporter.export(tried.classifier, wanted, path, print)
    asked = agreement.maps if agreement.flipped is not None else 0
    return replace(row, outcome="explained", agreement=agreement, asked=asked, cost=_cost(path))


def _cost(path: Path) -> Cost:
    most = min(len(BEST), len(Explainer(path).contract.labels))
    pairs = PAIRS_OF_SMALL if path.stat().st_size < SMALL else PAIRS
    one, five = (head_cost.measure(path, count, pairs=pairs) for count in (1, most))
    return Cost(round(one.milliseconds, 1), round(one.median, 3), round(five.median, 3))


if __name__ == "__main__":
    main()

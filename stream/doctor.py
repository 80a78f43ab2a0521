"""Looks over this computer: what whycam needs, whether it is well, and what to do where it is not."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import av
import ifaddr
import numpy as np

from models import catalog
from models.contract import ContractError
from stream.codec import CodecName, Encoder
from stream.device import Device
from stream.explainer import BEST, Explainer, RuntimeMissing, available_providers
from stream.recording import MIN_FREE

PYTHONS = ((3, 11), (3, 14))
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` is there where it is not well."""

    what: str
    says: str
    advice: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing needs to be done."""
        return not self.advice


def examine(*, port: int, recordings: Path, device: Device = "auto") -> Iterator[Finding]:
    """All findings, in the order in which things are needed."""
    yield _python()
    yield _runtime()
    yield from _models(device)
    yield from _encoders()
    yield _port(port)
    yield _recordings(recordings)
    yield _network()


def _python() -> Finding:
    low, high = PYTHONS
    says = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if low <= sys.version_info[:2] <= high:
        return Finding("Python", says)
    return Finding("Python", says, f"Install Python {low[0]}.{low[1]} to {high[0]}.{high[1]}.")


def _runtime() -> Finding:
    installed = []
    for package in RUNTIMES:
        try:
            installed.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    if not installed:
        return Finding("onnxruntime", "not installed", "pip install 'whycam[cpu]', or 'whycam[gpu]' for NVIDIA.")
    if len(installed) > 1:
        return Finding(
            "onnxruntime",
            " and ".join(installed),
            "They overwrite each other: pip uninstall both, then pip install 'whycam[cpu]' or 'whycam[gpu]'.",
        )
    return Finding("onnxruntime", f"{installed[0]}: {', '.join(available_providers())}")


def _models(device: Device) -> Iterator[Finding]:
    for known in catalog.known():
        what = f"model {known.name}"
        if not known.ready:
            yield Finding(what, f"not made yet ({known.make})")
            continue
        try:
            explainer = Explainer(catalog.find(known.name), device=device)
        except (ContractError, RuntimeMissing) as error:
            yield Finding(what, "cannot be used", str(error))
            continue
        says = (
            f"{known.path} (sha256 {explainer.sha256[:12]}…), "
            f"{_pace(explainer):.0f} ms a picture on {explainer.providers[0]}"
        )
        yield Finding(what, says, explainer.device_problem or "")


def _pace(explainer: Explainer) -> float:
    """Milliseconds for one picture and its five best classes, the median of five."""
    picture = np.zeros((1, *explainer.contract.size, 3), np.uint8)
    times = []
    for _ in range(6):  # the first one allocates
        start = time.perf_counter()
        explainer.explain(picture, BEST[: len(explainer.contract.labels)])
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times[1:]))


def _encoders() -> Iterator[Finding]:
    codecs: tuple[CodecName, ...] = ("H264", "VP8")
    for codec in codecs:
        frame = av.VideoFrame(640, 480, "yuv420p")
        frame.pts = 0
        try:
            Encoder(codec).encode(frame)
        except (av.FFmpegError, ValueError) as error:
            advice = "Install av again: pip install --force-reinstall 'av==18.*'"
            yield Finding(f"encoder {codec}", f"does not open ({error})", advice)
        else:
            yield Finding(f"encoder {codec}", "works")


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    if taken:
        return Finding(f"port {port}", "taken", f"End what uses it (whycam itself?), or serve with --port {port + 1}.")
    return Finding(f"port {port}", "free")


def _recordings(folder: Path) -> Finding:
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    says = f"{folder.resolve()}, {free / 2**30:.1f} GiB free"
    if free < MIN_FREE:
        return Finding("recordings", says, "Nothing is recorded below 1 GiB: free some, or name another --recordings.")
    return Finding("recordings", says)


def _network() -> Finding:
    addresses = [
        ip.ip
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if isinstance(ip.ip, str) and not ip.ip.startswith("127.")
    ]
    return Finding("this computer's addresses", ", ".join(addresses) or "none: only localhost, which is enough")

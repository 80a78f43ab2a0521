"""Checks this computer: what whycam needs, whether it works, and what to do if it does not."""

from __future__ import annotations

import http.client
import json
import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from whycam.models import catalog
from whycam.models.contract import ContractError
from whycam.stream.inference.explainer import BEST, Explainer, RuntimeMissing, available_providers
from whycam.stream.inference.providers import Device
from whycam.stream.limits import LIMITS
from whycam.stream.private_files import config_folder
from whycam.stream.recording.writer import MIN_FREE
from whycam.stream.server.certificate import CertificateError, kept_certificate
from whycam.stream.server.lan import IF_UNREACHABLE, NO_NETWORK, PORT, Address, lan_addresses
from whycam.stream.video.encoder import HARDWARE, SOFTWARE, backends, problem_of

PYTHONS = ((3, 11), (3, 14))
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `advice` is set if something needs to be done."""

    what: str
    says: str
    advice: str = ""
    absent: bool = False
    """It is missing, and optional."""

    @property
    def ok(self) -> bool:
        """Whether nothing needs to be done."""
        return not self.advice


def examine(
    *, port: int, recordings: Path, device: Device = "auto", lan_port: int = PORT, config: Path | None = None
) -> Iterator[Finding]:
    """All findings, in the order in which a setup needs them."""
    addresses = lan_addresses()
    yield _python()
    yield _runtime()
    yield from _models(device)
    yield from _encoders()
    yield _port("127.0.0.1", port, "--port", _whycam_at(port))
    yield _recordings(recordings)
    yield _network(addresses, lan_port)
    if addresses:
        yield _port(addresses[0].ip, lan_port, "--lan-port", _whycam_beside(port, lan_port))
    yield _certificate(config or config_folder(), addresses)
    yield Finding("limits", "of one server:" + "".join(f"\n    {each}" for each in LIMITS.words()))


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
            "They overwrite each other: pip uninstall all of them, then install the one that this computer should use.",
        )
    return Finding("onnxruntime", f"{installed[0]}: {', '.join(available_providers())}")


def _models(device: Device) -> Iterator[Finding]:
    for known in catalog.known():
        what = f"model {known.name}"
        if not known.ready:
            yield Finding(what, f"not made yet ({known.make})", absent=True)
            continue
        try:
            explainer = Explainer(catalog.find(known.name), device=device)
        except (ContractError, RuntimeMissing) as error:
            yield Finding(what, "cannot be used", str(error))
            continue
        says = (
            f"{known.path} (sha256 {explainer.sha256[:12]}…), "
            f"{_pace(explainer):.0f} ms per image on {explainer.providers[0]}"
        )
        yield Finding(what, says, explainer.device_problem or "")


def _pace(explainer: Explainer) -> float:
    """Milliseconds for one image and its five best classes, the median of five runs."""
    image = np.zeros((1, *explainer.contract.input_size, 3), np.uint8)
    times = []
    for _ in range(6):  # the first one allocates
        start = time.perf_counter()
        explainer.explain(image, BEST[: len(explainer.contract.labels)])
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times[1:]))


def _encoders() -> Iterator[Finding]:
    taken = backends()
    for backend in (*SOFTWARE.values(), *HARDWARE):
        what, problem = f"encoder {backend.name}", problem_of(backend)
        if not problem:
            yield Finding(what, f"works{f', used for {backend.codec}' if backend is taken[backend.codec] else ''}")
        elif backend in HARDWARE:  # optional: software encodes without it
            yield Finding(what, f"not available: {problem}", absent=True)
        else:
            advice = "Install av again: pip install --force-reinstall 'av==18.*'"
            yield Finding(what, f"does not work: {problem}", advice)


def _port(address: str, port: int, option: str, whycam: str) -> Finding:
    """`whycam` describes the whycam that uses the port; empty if there is none."""
    if whycam:
        return Finding(f"port {port}", whycam)
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex((address, port)) == 0
    if taken:
        advice = f"End the program that uses it, or serve with {option} {port + 1}."
        return Finding(f"port {port}", "used by another program", advice)
    return Finding(f"port {port}", "free")


def _whycam_at(port: int) -> str:
    """The state of the whycam that serves this computer at a port; empty if there is none."""
    health = _get_json(port, "/healthz")
    if not {"model", "engine", "sessions", "viewers", "problems"} <= health.keys():
        return ""
    problems = " ".join(map(str, health["problems"])) or "It reports no problems."
    counts = f"cameras: {health['sessions']}, viewers: {health['viewers']}"
    return f"whycam serves here: {health['model']}, {counts}. {problems}"


def _whycam_beside(port: int, lan_port: int) -> str:
    """Says whether that whycam's listener for phones uses `lan_port`; empty if not."""
    urls = _get_json(port, "/api/join").get("urls")
    mine = isinstance(urls, list) and any(urlsplit(str(url)).port == lan_port for url in urls)
    return "whycam serves here, for phones" if mine else ""


def _get_json(port: int, path: str) -> dict[str, Any]:
    """The JSON object that a server on this computer answers; an empty one without a valid answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        value = json.loads(connection.getresponse().read(65536))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return {}
    finally:
        connection.close()
    return value if isinstance(value, dict) else {}


def _recordings(folder: Path) -> Finding:
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    says = f"{folder.resolve()}, {free / 2**30:.1f} GiB free"
    if not there.is_dir():
        return Finding("recordings", says, f"{there} is a file. Choose another folder with --recordings.")
    if not os.access(there, os.W_OK):
        return Finding(
            "recordings", says, f"Nothing can be written into {there}. Choose another folder with --recordings."
        )
    if free < MIN_FREE:
        advice = "Nothing is recorded below 1 GiB. Free some space, or choose another folder with --recordings."
        return Finding("recordings", says, advice)
    return Finding("recordings", says)


def _network(addresses: Sequence[Address], port: int) -> Finding:
    """Without any network not even this computer's own browser sends video; files can still be explained."""
    if not addresses:
        return Finding("network", "none: browsers send no video, not even to the same computer", NO_NETWORK)
    listed = ", ".join(f"{address.ip} ({address.adapter})" for address in addresses)
    return Finding("phones", f"would find this computer at {listed}. {IF_UNREACHABLE.format(port=port)}")


def _certificate(folder: Path, addresses: Sequence[Address]) -> Finding:
    try:
        kept = kept_certificate(folder)
    except CertificateError as error:
        return Finding("certificate", f"{error} `whycam serve --lan` makes a new one.")
    if kept is None:
        return Finding("certificate", "none yet: `whycam serve --lan` makes one", absent=True)
    missing = {address.ip for address in addresses} - set(kept.names)
    renewed = f"; renewed at the next start, for {', '.join(sorted(missing))}" if missing else ""
    return Finding("certificate", f"{kept.chain}, until {kept.until:%Y-%m-%d}, for {', '.join(kept.names)}{renewed}")

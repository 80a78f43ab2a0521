"""Looks over this computer: what whycam needs, whether it is well, and what to do where it is not."""

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
    """One thing that was looked at; `advice` is there where it is not well."""

    what: str
    says: str
    advice: str = ""
    absent: bool = False
    """It is not there, and nobody needs it."""

    @property
    def well(self) -> bool:
        """Whether nothing needs to be done."""
        return not self.advice


def examine(
    *, port: int, recordings: Path, device: Device = "auto", lan_port: int = PORT, config: Path | None = None
) -> Iterator[Finding]:
    """All findings, in the order in which things are needed."""
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
            f"{_pace(explainer):.0f} ms a picture on {explainer.providers[0]}"
        )
        yield Finding(what, says, explainer.device_problem or "")


def _pace(explainer: Explainer) -> float:
    """Milliseconds for one picture and its five best classes, the median of five."""
    picture = np.zeros((1, *explainer.contract.input_size, 3), np.uint8)
    times = []
    for _ in range(6):  # the first one allocates
        start = time.perf_counter()
        explainer.explain(picture, BEST[: len(explainer.contract.labels)])
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times[1:]))


def _encoders() -> Iterator[Finding]:
    taken = backends()
    for backend in (*SOFTWARE.values(), *HARDWARE):
        what, problem = f"encoder {backend.name}", problem_of(backend)
        if not problem:
            yield Finding(what, f"works{f', taken for {backend.codec}' if backend is taken[backend.codec] else ''}")
        elif backend in HARDWARE:  # not ill without: software does it
            yield Finding(what, f"not here: {problem}", absent=True)
        else:
            advice = "Install av again: pip install --force-reinstall 'av==18.*'"
            yield Finding(what, f"does not work: {problem}", advice)


def _port(address: str, port: int, option: str, whycam: str) -> Finding:
    """`whycam` is what the whycam that uses it says; empty where there is none."""
    if whycam:
        return Finding(f"port {port}", whycam)
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = probe.connect_ex((address, port)) == 0
    if taken:
        advice = f"End the program that uses it, or serve with {option} {port + 1}."
        return Finding(f"port {port}", "taken by another program", advice)
    return Finding(f"port {port}", "free")


def _whycam_at(port: int) -> str:
    """How the whycam is that serves this computer at a port."""
    told = _asked(port, "/healthz")
    if not {"model", "engine", "sessions", "viewers", "problems"} <= told.keys():
        return ""
    problems = " ".join(map(str, told["problems"])) or "All is well with it."
    return f"whycam serves here: {told['model']}, cameras: {told['sessions']}, viewers: {told['viewers']}. {problems}"


def _whycam_beside(port: int, lan_port: int) -> str:
    """Whether it has its door for phones at the other port."""
    urls = _asked(port, "/api/join").get("urls")
    mine = isinstance(urls, list) and any(urlsplit(str(url)).port == lan_port for url in urls)
    return "whycam serves here, for phones" if mine else ""


def _asked(port: int, path: str) -> dict[str, Any]:
    """The JSON object that a server on this computer gives; an empty one for none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        told = json.loads(connection.getresponse().read(65536))
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return {}
    finally:
        connection.close()
    return told if isinstance(told, dict) else {}


def _recordings(folder: Path) -> Finding:
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    says = f"{folder.resolve()}, {free / 2**30:.1f} GiB free"
    if not there.is_dir():
        return Finding("recordings", says, f"{there} is a file: name another --recordings.")
    if not os.access(there, os.W_OK):
        return Finding("recordings", says, f"Nothing can be written into {there}: name another --recordings.")
    if free < MIN_FREE:
        return Finding("recordings", says, "Nothing is recorded below 1 GiB: free some, or name another --recordings.")
    return Finding("recordings", says)


def _network(addresses: Sequence[Address], port: int) -> Finding:
    """Not ill without one: localhost is enough."""
    if not addresses:
        return Finding("phones", NO_NETWORK)
    listed = ", ".join(f"{address.ip} ({address.adapter})" for address in addresses)
    return Finding("phones", f"would find this computer at {listed}. {IF_UNREACHABLE.format(port=port)}")


def _certificate(folder: Path, addresses: Sequence[Address]) -> Finding:
    try:
        kept = kept_certificate(folder)
    except CertificateError as error:
        return Finding("certificate", f"{error} `whycam serve --lan` makes it anew.")
    if kept is None:
        return Finding("certificate", "none yet: `whycam serve --lan` makes one", absent=True)
    missing = {address.ip for address in addresses} - set(kept.names)
    renewed = f"; renewed at the next start, for {', '.join(sorted(missing))}" if missing else ""
    return Finding("certificate", f"{kept.chain}, until {kept.until:%Y-%m-%d}, for {', '.join(kept.names)}{renewed}")

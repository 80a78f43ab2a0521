"""A TURN server, Debian's coturn, in a network namespace: `with relaying(there, folder) as log:`."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.clients.npm import missing
from tests.support.network_namespaces import Namespace

PORT = 3478
USER, SECRET = "user", "secret"


@contextmanager
def relaying(there: Namespace, folder: Path) -> Iterator[Path]:
    """The log of a server at the namespace's address."""
    if shutil.which("turnserver") is None:
        missing("Debian's coturn")
    log = folder / "turn.log"
    command = [
        *("turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech", "--realm", "tests", "--verbose"),
        *("--user", f"{USER}:{SECRET}", "--listening-ip", there.address, "--relay-ip", there.address),
        *("--listening-port", str(PORT), "--log-file", "stdout", "--pidfile", str(folder / "turn.pid")),
        *("--userdb", str(folder / "turn.db")),
    ]
    with log.open("w") as output:
        process = subprocess.Popen([*there.prefix, *command], stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    try:
        deadline = time.monotonic() + 10
        while "UDP listener opened" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield log
    finally:
        process.terminate()
        process.wait(10)

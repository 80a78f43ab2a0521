"""A Python that has imported the libraries already, and forks a child for each command: tests start hundreds of them.

    python -m tests.support.warm_python

takes a `Call` as a line of JSON, and answers with the child's process id, then with its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import NoReturn

from tests.support import ROOT

LIBRARIES = ("numpy", "cv2", "av", "onnxruntime", "onnx", "rich.table", "rich.progress", "aiohttp")


@dataclass(frozen=True)
class Call:
    """`python -m module arguments`, and where it runs and writes."""

    module: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    stdout: str
    stderr: str


class WarmPython:
    """One that forks children until this process ends; for one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm_python"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        self._process.wait()  # it goes on as a process of its own: tests look at the children that they have

    def run(self, call: Call, timeout: float) -> int:
        """The exit code, as of `subprocess`; a command that takes longer is killed: −9."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(call)) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        late = threading.Timer(timeout, _kill, (pid,))
        late.start()
        try:
            return int(self._process.stdout.readline())
        finally:
            late.cancel()
            late.join()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)


def main() -> None:
    """Serve calls until the input ends, apart from the process that started this one."""
    if os.fork():
        os._exit(0)
    for each in LIBRARIES:
        importlib.import_module(each)
    for line in sys.stdin:
        call = Call(**json.loads(line))
        pid = os.fork()
        if pid == 0:
            _run(call)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(call: Call) -> NoReturn:
    os.chdir(call.folder)
    os.environ.clear()
    os.environ.update(call.environment)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, path in enumerate((os.devnull, call.stdout, call.stderr)):
        opened = os.open(path, flags if number else os.O_RDONLY, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = [call.module, *call.arguments]
    sys.path[:1] = [call.folder, str(ROOT)]  # as with PYTHONPATH
    code: object = 0
    try:
        runpy.run_module(call.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter does at its end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    main()

"""The child process: its imports, what it inherits, its signals, and that it ends with its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from tests.support.models import tiny_models
from tests.support.processes import is_gone, until
from whycam.models.contract import ContractError
from whycam.stream.inference.engine import EngineDown
from whycam.stream.inference.explainer import BEST, MAX_PINNED, Explainer, RuntimeMissing
from whycam.stream.inference.explanation import Explanation
from whycam.stream.inference.worker import NICE, ModelProcess, Order, _opened

TARGET = np.array([[-1]], np.int64)


@contextmanager
def child_of(order: Order) -> Iterator[ModelProcess]:
    child = ModelProcess(order)
    try:
        yield child
    finally:
        child.end()
        assert not psutil.pid_exists(child.pid)  # not even as a zombie


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order(tiny_models.model(tmp_path / "tiny.onnx"), threads=2)


def test_it_imports_nothing_of_the_program_around_it(order: Order) -> None:
    """So that it starts in a fraction of a server's time."""
    with child_of(order) as child:
        child.about()
        libraries = " ".join(area.path for area in psutil.Process(child.pid).memory_maps())
    assert "onnxruntime" in libraries
    for name in ("cv2", "/av/", "av.libs", "cryptography", "aiohttp"):
        assert name not in libraries, name


def test_it_explains_as_many_classes_as_a_view_may_pin_before_it_is_ready(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT takes minutes to build an engine for more classes than before; such a slow child would be killed."""
    asked: list[int] = []
    explain = Explainer.explain

    def seen(self: Explainer, images: NDArray[np.uint8], targets: list[int]) -> Explanation:
        asked.append(len(targets))
        return explain(self, images, targets)

    monkeypatch.setattr(Explainer, "explain", seen)
    _opened(order)
    assert asked[:2] == [len(BEST) + MAX_PINNED, 1]


def test_it_inherits_nothing(order: Order) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.set_inheritable(True)
        with child_of(order) as child:
            child.about()
            assert psutil.Process(child.pid).net_connections() == []


def test_all_its_threads_yield_to_the_parent_once_it_is_ready(order: Order) -> None:
    with child_of(order) as child:
        child.about()
        own = os.getpriority(os.PRIO_PROCESS, 0)
        nice = [os.getpriority(os.PRIO_PROCESS, t.id) for t in psutil.Process(child.pid).threads()]
        assert len(nice) >= 3  # the main thread, the reading one, and onnxruntime's
        assert set(nice) == {own + NICE}
        assert os.getsid(child.pid) == child.pid
        shares = Path(f"/proc/{child.pid}/autogroup")  # missing in kernels without it
        assert not shares.exists() or shares.read_text().split()[-1] in (str(NICE), "")
        assert int(Path(f"/proc/{child.pid}/oom_score_adj").read_text()) > int(
            Path("/proc/self/oom_score_adj").read_text()
        )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a score for that")
def test_without_memory_a_model_that_starts_is_ended_before_one_that_runs(order: Order) -> None:
    def score(process: ModelProcess) -> int:
        return int(Path(f"/proc/{process.pid}/oom_score_adj").read_text())

    with child_of(order) as running, child_of(order) as starting:
        running.about()
        starting._send(sys.path)  # it waits for its order
        until(lambda: score(starting) > score(running))
        assert score(running) > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_whole_process_group_are_ignored(order: Order, number: signal.Signals) -> None:
    with child_of(order) as child:
        child.about()
        os.kill(child.pid, number)
        assert len(child.ask(tiny_models.images(1), TARGET)) == 1


def test_the_output_of_a_library_does_not_corrupt_the_answers(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    noisy = "import os, sys; os.write(1, b'hello from onnxruntime'); sys.path.pop(0); del sys.modules['onnxruntime']\n"
    (tmp_path / "noisy").mkdir()
    (tmp_path / "noisy" / "onnxruntime.py").write_text(
        noisy + "import onnxruntime as real; sys.modules['onnxruntime'] = real"
    )
    monkeypatch.syspath_prepend(tmp_path / "noisy")
    with child_of(order) as child:
        child.about()
        assert len(child.ask(tiny_models.images(1), TARGET)) == 1
    assert "hello from onnxruntime" in capfd.readouterr().err


def test_a_file_that_is_no_model_raises_as_in_the_explainer(tmp_path: Path) -> None:
    whole = tiny_models.model(tmp_path / "tiny.onnx").read_bytes()
    files = {"cut.onnx": whole[: len(whole) // 2], "empty.onnx": b"", "text.onnx": b"not a model", "none.onnx": None}
    for name, content in files.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ContractError) as here:
            Explainer(path)
        with child_of(Order(path)) as child, pytest.raises(ContractError) as there:
            child.about()
        assert str(there.value) == str(here.value)


def test_a_child_without_onnxruntime_says_what_to_install(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "onnxruntime.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path / "without")
    with child_of(order) as child, pytest.raises(RuntimeMissing, match=r"whycam\[cpu\]"):
        child.about()


def test_a_child_that_cannot_be_started_raises(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EngineDown, match="cannot be started"):
        ModelProcess(order)


PARENT = """
import sys
from pathlib import Path
import numpy as np
from whycam.stream.inference.worker import ModelProcess, Order
child = ModelProcess(Order(Path(sys.argv[1]), threads=1))
if sys.argv[2] != "starting":
    child.about()
print(child.pid, flush=True)
if sys.argv[2] == "hanging":
    child.ask(np.full((1, 32, 32, 3), 255, np.uint8), np.array([[-1]]))
sys.stdin.read()
"""


@pytest.mark.parametrize("doing", ["starting", "waiting", "hanging"])
def test_a_killed_parent_leaves_no_orphan(tmp_path: Path, doing: str) -> None:
    model = tiny_models.temperamental(tmp_path / "hangs.onnx", "hangs")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(model), doing],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if doing == "hanging":
            child = psutil.Process(pid)
            before = child.cpu_times().user
            until(lambda: child.cpu_times().user > before + 0.1)  # in the endless model
        assert not is_gone(pid)
        parent.kill()
    until(lambda: is_gone(pid))

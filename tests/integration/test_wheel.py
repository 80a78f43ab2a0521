"""The wheel contains only `whycam`, and works in a project with folders of the same names as ours."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

import whycam
from tests.support import ROOT
from tests.support.films import media_samples

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]


class Installed(NamedTuple):
    """A new environment with the wheel."""

    wheel: Path
    bin: Path


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"COLUMNS": "200"}
    return subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)


def pip(*arguments: str | Path) -> None:
    done = run(ROOT, sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)
    assert done.returncode == 0, done.stderr


def install(binaries: Path, *what: str | Path) -> None:
    """Install into the environment of these programs; to compile all libraries takes longer than the rest."""
    pip("--python", binaries / "python", "install", "--no-compile", *what)


def copy_of_the_checkout(target: Path) -> Path:
    """All files without the links in `whycam/`, as in an sdist or on a system without links."""
    files = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard").stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((ROOT / name).read_bytes())
    return target


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Without onnxruntime, as after `pip install whycam`."""
    folder = tmp_path_factory.mktemp("wheel")
    source = copy_of_the_checkout(folder / "source")  # so that the build leaves nothing in the checkout
    pip("wheel", "--no-deps", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("whycam-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "bare"], check=True)
    binaries = folder / "bare" / ("Scripts" if os.name == "nt" else "bin")
    install(binaries, wheel)
    return Installed(wheel, binaries)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A course's project with its own `models/` and `export/`, and a film."""
    for package in ("models", "export"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"WHOSE = 'mine: {package}'\n")
    for module in ("stream", "web"):
        (tmp_path / f"{module}.py").write_text(f"WHOSE = 'mine: {module}'\n")
    (tmp_path / "course.py").write_text(
        "import export, models, stream, web\n"
        "import whycam\n"
        "from whycam.models import catalog\n"
        "print(models.WHOSE, export.WHOSE, stream.WHOSE, web.WHOSE)\n"
        "print(len(dir(whycam)), whycam.__version__, catalog.EFFICIENTNET_LITE0.ready)\n"
        "import numpy\n"
        "print(len(whycam.explain(numpy.zeros((64, 64, 3), numpy.uint8)).labels), 'labels')\n"
    )
    media_samples.write(tmp_path / "kitchen.mov", count=5)
    return tmp_path


def test_it_contains_only_whycam(bare: Installed) -> None:
    names = zipfile.ZipFile(bare.wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"whycam"}
    expected = {
        f"whycam/{path.relative_to(ROOT).as_posix()}"
        for folder in ("export", "models", "stream", "web")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected <= set(names)
    assert "whycam/py.typed" in names


def test_without_onnxruntime_it_says_what_to_install(bare: Installed, project: Path) -> None:
    without = run(project, bare.bin / "whycam", "process", "kitchen.mov")
    assert without.returncode == 1
    assert "pip install 'whycam[cpu]'" in without.stderr


@pytest.mark.long
def test_it_works_in_a_project_with_folders_of_the_same_names(bare: Installed, project: Path) -> None:
    install(bare.bin, f"{bare.wheel}[cpu]")
    assert "efficientnet-lite0" in run(project, bare.bin / "whycam", "models").stdout
    done = run(project, bare.bin / "whycam", "process", "kitchen.mov")
    assert done.returncode == 0, done.stderr
    assert len(media_samples.read(project / "kitchen-output.mp4")) == 5
    course = run(project, bare.bin / "python", "course.py")
    assert course.stdout.splitlines() == [
        "mine: models mine: export mine: stream mine: web",
        f"{len(whycam.__all__)} {whycam.__version__} True",
        "5 labels",
    ], course.stderr


def test_a_checkout_without_its_links_says_so(bare: Installed, tmp_path: Path) -> None:
    source = copy_of_the_checkout(tmp_path)
    done = run(
        tmp_path, bare.bin / "python", "-P", "-c", f"import sys; sys.path.insert(0, {str(source)!r}); import whycam"
    )
    assert "ImportError: whycam finds no package whycam.models" in done.stderr
    assert "pip install -e ." in done.stderr

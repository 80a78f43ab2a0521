"""The architecture: imports go down only and form no circle, and folders stay small (`make walls`)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT, walls


@pytest.fixture(scope="module")
def known() -> dict[str, Path]:
    return walls.modules()


def test_imports_go_down_only(known: dict[str, Path]) -> None:
    assert walls.upward(known) == []


def test_no_modules_import_each_other(known: dict[str, Path]) -> None:
    assert walls.module_circles(known) == []


def test_every_folder_has_its_layer(known: dict[str, Path]) -> None:
    named = {folder for layer in walls.LAYERS for folder in layer}
    assert {walls.folder_of(module, known) for module in known} == named


def test_no_folder_is_crowded() -> None:
    assert walls.crowded() == []


def test_no_test_module_imports_another() -> None:
    assert walls.imports_between_tests() == []


def test_every_package_is_in_the_wheel(known: dict[str, Path]) -> None:
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {name for name, path in known.items() if path.name == "__init__.py"}
    pages = {path.relative_to(ROOT).as_posix().replace("/", ".") for path in (ROOT / "web").rglob("*") if path.is_dir()}
    expected = {f"whycam.{name}" for name in (folders | pages | {"web"}) - {"whycam"}}
    assert set(setup["packages"]) == expected | {"whycam"}
    for name, folder in setup["package-dir"].items():
        assert (ROOT / name.replace(".", "/")).resolve() == (ROOT / folder).resolve()


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("def late() -> None:\n    from whycam.stream.live import tracker\n", "stream/video/planes.py:2 imports"),
        ("import whycam.stream.server.app\n", "stream/video/planes.py:1 imports stream.server.app"),
        ("from whycam.stream.media.frames.hdr import to_sdr\n", "stream.video may import only lower layers"),
        ("from whycam.export.head import tail\n", "stream.video may import only lower layers"),
    ],
)
def test_a_forbidden_import_is_named_with_its_line(
    source: str, complaint: str, known: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "planes.py"
    path.write_text(source)
    assert complaint in "\n".join(walls.upward({**known, "stream.video.planes": path}))


def test_a_circle_is_found(known: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "codec.py"
    path.write_text("from whycam.stream.video import encoder\n")
    found = walls.module_circles({**known, "stream.video.codec": path})
    assert found == [["stream.video.codec", "stream.video.encoder"]]

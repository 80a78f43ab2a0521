"""The example notebook runs unchanged, on a photograph and a film."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import nbformat
import pytest
import skimage.data
from nbclient import NotebookClient
from PIL import Image

from tests.support import ROOT
from tests.support.films import media_samples
from whycam.stream.media.image import read_image, write_image


def test_the_assignments_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_image(tmp_path / "dog.jpg", skimage.data.chelsea())
    media_samples.write(tmp_path / "kitchen-input.mov", count=30, size=(128, 96), sound="aac")
    notebook: Any = nbformat.read(ROOT / "docs" / "assignment.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    )
    assert "cat" in printed  # of the photograph
    assert "kitchen (25 frames)" in printed
    assert "kitchen-output (25 frames)" in printed
    assert "25 a second" in printed
    assert read_image(tmp_path / "book.jpg").shape == skimage.data.chelsea().shape


def test_the_notebook_of_pictures_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_image(tmp_path / "dog.jpg", skimage.data.chelsea())
    notebook: Any = nbformat.read(ROOT / "docs" / "explain.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pages = [output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert len(pages) == 2
    assert "cat" in pages[0]
    image = Image.open(io.BytesIO(base64.b64decode(pages[0].split("base64,")[1].split("'")[0])))
    assert image.size == skimage.data.chelsea().shape[1::-1]
    printed = "".join(output.get("text", "") for output in outputs)
    assert "(300, 451) uint8 255" in printed
    assert printed.count("<Explained 451 x 300: ") == 5
    assert outputs[-1]["data"]["text/plain"] == "[<Outcome done: dog.jpg -> dog-result.jpg, 1 frame>]"
    assert read_image(tmp_path / "dog-explained.jpg").shape == skimage.data.chelsea().shape
    assert (tmp_path / "dog-result.jpg").is_file()


@pytest.mark.parametrize("name", ["assignment", "explain"])
def test_the_notebooks_are_stored_without_results(name: str) -> None:
    notebook: Any = nbformat.read(ROOT / "docs" / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)

"""The example notebook runs unchanged, on a photograph and a film."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
import skimage.data
from nbclient import NotebookClient

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


def test_the_notebook_is_stored_without_results() -> None:
    notebook: Any = nbformat.read(ROOT / "docs" / "assignment.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)

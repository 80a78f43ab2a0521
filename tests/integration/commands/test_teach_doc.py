"""What docs/teach.md shows runs as it is, with the bundled model."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pytest
import skimage.data
import skimage.transform

from tests.support import ROOT
from tests.support.command import run
from tests.support.films.class_folders import film, square
from whycam.models import catalog
from whycam.stream.limits import LIMITS
from whycam.stream.media.image import write_image
from whycam.stream.teaching.heat_place import EVEN_BORDER, EVEN_MIDDLE, SUSPICION
from whycam.stream.video.planes import as_bytes

PAGE = (ROOT / "docs" / "teach.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the page names: photographs of a cat for the banana, squares for the rest."""
    film(tmp_path / "kitchen" / "mug" / "mug.mov", ["red"] * 6)
    film(tmp_path / "kitchen" / "mug" / "another-day.mp4", ["red"] * 6, 20)
    film(tmp_path / "kitchen" / "table" / "empty-table.mp4", ["blue"] * 7, 40)
    (tmp_path / "kitchen" / "banana").mkdir()
    cat = as_bytes(skimage.data.chelsea())
    for number, turned in enumerate((cat, cat[:, ::-1].copy(), cat[20:, 30:].copy())):
        write_image(tmp_path / "kitchen" / "banana" / f"IMG_00{42 + 5 * number}.jpg", turned)
    film(tmp_path / "walk.mp4", ["red", "blue", "red"], 60)
    write_image(tmp_path / "new.jpg", cat[10:, 10:].copy())
    for name, colour in (("mug", "red"), ("table", "blue")):
        write_image(tmp_path / f"{name}.jpg", square(colour, 70))
    return tmp_path


def test_its_commands_run(folder: Path) -> None:
    lines = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
    said = []
    for line in lines:
        program, *words = shlex.split(line, comments=True)
        assert program == "whycam"
        done = run(*words, folder=folder)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        said.append(done.stdout)
    assert "Use it: whycam serve --model kitchen" in said[0]
    assert " banana (0)" in said[1].splitlines()[1]
    assert (folder / "mine.onnx").is_file()
    assert "kitchen" in (folder / "kitchen.html").read_text("utf-8")
    assert not (catalog.user_models() / "kitchen.onnx").exists()


def test_its_python_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (block,) = [block for kind, block in BLOCKS if kind == "python"]
    names: dict[str, Any] = {}
    exec(textwrap.dedent(block), names)
    assert names["taught"].labels == ("mug", "table")
    assert (folder / "mugs.onnx").is_file()


def test_its_numbers_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    assert f"has {100 * EVEN_BORDER:.0f} % along the border and {100 * EVEN_MIDDLE:.0f} % in the middle" in text
    assert SUSPICION in text
    assert f"A name has at most {LIMITS.max_class_name} characters" in text
    assert f"thirty give {100 * 31 / 32:.0f} %" in text

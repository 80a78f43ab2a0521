"""The file with kept examples: what comes back, who may read it, and what is refused without reading it."""

from __future__ import annotations

import io
import json
import stat
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from whycam.stream.limits import LIMITS
from whycam.stream.teaching.examples import Example, TaughtClass
from whycam.stream.teaching.kept_examples import KeptExamplesError, KeptFor, read_kept, write_kept

MODEL = KeptFor("ab" * 32, 6, (8, 12))
FEW = replace(LIMITS, max_classes=3, max_examples=4)
Change = Callable[[dict[str, bytes]], Any]


def picture(level: int = 0, size: tuple[int, int] = MODEL.size) -> bytes:
    _, encoded = cv2.imencode(".jpg", np.full((*size, 3), level, np.uint8))
    return encoded.tobytes()


def example(number: int, holding: str = "first", giver: str = "host") -> Example:
    return Example(np.arange(number, number + 6, dtype=np.float32), picture(number), holding, giver)


def two_classes() -> list[TaughtClass]:
    return [
        TaughtClass("mug", {17: example(1), 18: example(2, "second", "phone 1")}),
        TaughtClass("nothing", {}),
        TaughtClass("Tür <b>", {3: example(3)}),
    ]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kitchen.examples.zip"
    write_kept(path, MODEL, two_classes())
    return path


def rewrite(path: Path, change: Change, kind: int = zipfile.ZIP_STORED) -> None:
    """Write the file again with other parts."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, content in parts.items():
            file.writestr(name, content)


def listing(change: Callable[[dict[str, Any]], Any]) -> Change:
    """A change of the list."""

    def apply(parts: dict[str, bytes]) -> None:
        about = json.loads(parts["examples.json"])
        change(about)
        parts["examples.json"] = json.dumps(about).encode()

    return apply


def array(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def test_what_is_kept_comes_back(kept: Path) -> None:
    read, written = read_kept(kept, MODEL, FEW), two_classes()
    assert [each.name for each in read] == ["mug", "nothing", "Tür <b>"]
    for one, other in zip(read, written, strict=True):
        for found, given in zip(one.examples.values(), other.examples.values(), strict=True):
            assert found.vector.tolist() == given.vector.tolist()
            assert found.vector.dtype == np.float32
            assert (found.picture, found.holding, found.giver) == (given.picture, given.holding, given.giver)


def test_it_is_an_ordinary_zip_file_that_only_this_user_may_read(kept: Path) -> None:
    with zipfile.ZipFile(kept) as file:
        assert file.testzip() is None
        assert np.load(io.BytesIO(file.read("vectors.npy")), allow_pickle=False).shape == (3, 6)
        assert file.read("pictures/0001.jpg") == picture(1)
    assert [each.name for each in kept.parent.iterdir()] == [kept.name]
    if sys.platform != "win32":
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (replace(MODEL, sha256="cd" * 32), "another model's file"),
        (replace(MODEL, width=7), "another model's file"),
        (replace(MODEL, size=(8, 8)), "pictures are of another size"),
    ],
)
def test_examples_of_another_model_are_refused(kept: Path, model: KeptFor, why: str) -> None:
    with pytest.raises(KeptExamplesError, match=f"^kitchen.examples.zip is not used, so teaching .*{why}.$"):
        read_kept(kept, model, FEW)


def test_a_file_that_is_cut_off_anywhere_is_refused(kept: Path) -> None:
    whole = kept.read_bytes()
    for size in (*range(0, len(whole) - 1, 97), len(whole) - 1):
        kept.write_bytes(whole[:size])
        with pytest.raises(KeptExamplesError, match="it is "):
            read_kept(kept, MODEL, FEW)


def test_a_changed_byte_is_refused_or_changes_nothing(kept: Path) -> None:
    whole, before = kept.read_bytes(), two_classes()
    refused = 0
    for place in range(0, len(whole), 53):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            after = read_kept(kept, MODEL, FEW)
        except KeptExamplesError:
            refused += 1
        else:
            assert [each.name for each in after] == [each.name for each in before]
    assert refused > 20


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (listing(lambda about: about.update(whycam_examples=2)), "another version"),
        (listing(lambda about: about.pop("classes")), "damaged"),
        (listing(lambda about: about.update(classes=7)), "damaged"),
        (listing(lambda about: about["classes"][0].update(name=["mug"])), "damaged"),
        (listing(lambda about: about["classes"][0].update(name="a\nb")), "damaged"),
        (listing(lambda about: about["classes"][0].update(name="x" * 65)), "damaged"),
        (listing(lambda about: about["classes"][0]["examples"].pop()), "does not have the files that it lists"),
        (listing(lambda about: about["classes"].extend([about["classes"][1]] * 3)), "more classes or examples"),
        (listing(lambda about: about["classes"][0]["examples"].extend([{"holding": "", "giver": ""}] * 3)), "more cl"),
        (lambda parts: parts.update({"examples.json": b"[" * 100_000}), "damaged"),
        (lambda parts: parts.update({"examples.json": b'"%s"' % (b"x" * (1 << 20))}), "examples.json is too large"),
        (lambda parts: parts.pop("examples.json"), "damaged"),
        (lambda parts: parts.update({"../mug.jpg": picture()}), "does not have the files that it lists"),
        (lambda parts: parts.update({"vectors.npy": array(np.zeros((3, 6)))}), "damaged"),
        (lambda parts: parts.update({"vectors.npy": array(np.full((3, 6), np.nan, np.float32))}), "damaged"),
        (lambda parts: parts.update({"vectors.npy": array(np.array([{}] * 3))}), "damaged"),
        (lambda parts: parts.update({"vectors.npy": array(np.zeros((3, 6), np.float32))[:-4]}), "damaged"),
        (
            lambda parts: parts.update({"vectors.npy": array(np.zeros((999, 6), np.float32))}),
            "vectors.npy is too large",
        ),
        (lambda parts: parts.update({"pictures/0002.jpg": b"no picture"}), "damaged"),
        (lambda parts: parts.update({"pictures/0002.jpg": picture(size=(900, 900))}), "too large|another size"),
        (lambda parts: parts.update({"pictures/0002.jpg": bytes(9_000)}), "0002.jpg is too large"),
    ],
)
def test_a_file_that_whycam_did_not_write_is_refused(kept: Path, change: Change, why: str) -> None:
    rewrite(kept, change)
    with pytest.raises(KeptExamplesError, match=why):
        read_kept(kept, MODEL, FEW)


def test_what_would_be_large_when_it_is_read_is_not_read(kept: Path) -> None:
    rewrite(kept, lambda parts: parts.update({"vectors.npy": bytes(9_000_000)}), zipfile.ZIP_DEFLATED)
    assert kept.stat().st_size < 100_000
    with pytest.raises(KeptExamplesError, match="whycam did not write it"):
        read_kept(kept, MODEL, FEW)
    rewrite(kept, lambda parts: parts.update({f"{number:090}": b"" for number in range(100)}, **{"vectors.npy": b""}))
    with pytest.raises(KeptExamplesError, match="whycam did not write it"):  # its directory alone is too large
        read_kept(kept, MODEL, FEW)
    with kept.open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(KeptExamplesError, match="larger than what is kept"):
        read_kept(kept, MODEL, FEW)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeptExamplesError, match="cannot be read"):
        read_kept(tmp_path, MODEL, FEW)

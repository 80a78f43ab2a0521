"""`NAME.examples.zip`, the kept examples of a taught model: a list as JSON, the vectors, and the pictures.

- examples.json: `{"whycam_examples": 1, "model": …, "width": 1280, "classes": [{"name": …, "examples": [{"holding": …,
  "giver": …}, …]}, …]}`; `model` is the SHA-256 of the model's file that it was kept with.
- vectors.npy: float32 (N, width), the examples of all classes in their order.
- pictures/0001.jpg and so on, in the same order.

Nothing in it is compressed, and each part's size is compared with the limits before it is read: a file may come from
anywhere, and vectors and pictures of another model would teach nonsense.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whycam.models.contract import Contract
from whycam.stream.limits import Limits
from whycam.stream.private_files import write_private
from whycam.stream.teaching.examples import Example, TaughtClass

VERSION = 1
LIST, VECTORS, PICTURE = "examples.json", "vectors.npy", "pictures/{:04}.jpg"
MAX_LIST = 1 << 20
MAX_HEADER = 4096
"""Bytes of an array or of a JPEG beside its numbers or pixels."""
MAX_TEXT = 64
"""Characters of a holding, and of a giver."""
ENTRY_BYTES = 256
"""Of the zip file about each file in it."""
END = struct.Struct("<4s4H2LH")
"""The end of a zip file: its mark, numbers of disks and files, the directory's size and place, a comment's length."""
LARGE = struct.Struct("<4s16x")
"""What is before it in a large zip file."""
DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, RuntimeError, TypeError, struct.error, zipfile.BadZipFile),
    Image.DecompressionBombError,
)
"""What reading raises for a file that was cut off or changed."""


class KeptExamplesError(ValueError):
    """Kept examples cannot be used; says why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path.name} is not used, so teaching begins without examples: {why}.")


class _Unusable(Exception):
    """Why a file is not used, for a sentence."""


@dataclass(frozen=True, slots=True)
class KeptFor:
    """The taught model that examples are kept for."""

    sha256: str
    """Of its file."""
    width: int
    """Of its vectors."""
    size: tuple[int, int]
    """Height and width of the pictures."""

    @classmethod
    def of(cls, contract: Contract, sha256: str) -> KeptFor:
        """The model of a file with this contract, whose classes can be taught."""
        assert contract.last_layer is not None
        return cls(sha256, contract.last_layer.width, contract.input_size)

    @property
    def max_picture(self) -> int:
        """Bytes of a picture; a JPEG is smaller than its pixels."""
        return 3 * self.size[0] * self.size[1] + MAX_HEADER


def write_kept(path: Path, model: KeptFor, classes: Sequence[TaughtClass]) -> None:
    """Write the examples of classes into a file that only this user may read, which appears complete or not at all."""
    examples = [example for each in classes for example in each.examples.values()]
    listed = [
        {"name": each.name, "examples": [{"holding": e.holding, "giver": e.giver} for e in each.examples.values()]}
        for each in classes
    ]
    about = {"whycam_examples": VERSION, "model": model.sha256, "width": model.width, "classes": listed}
    vectors = BytesIO()
    array = np.array([each.vector for each in examples], "<f4").reshape(len(examples), model.width)
    np.lib.format.write_array(vectors, array, version=(1, 0), allow_pickle=False)
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        file.writestr(zipfile.ZipInfo(LIST), json.dumps(about, ensure_ascii=False))
        file.writestr(zipfile.ZipInfo(VECTORS), vectors.getvalue())
        for number, each in enumerate(examples, 1):
            file.writestr(zipfile.ZipInfo(PICTURE.format(number)), each.picture)
    write_private(path, content.getvalue())


def read_kept(path: Path, model: KeptFor, limits: Limits) -> list[TaughtClass]:
    """The classes and examples in a file; raises `KeptExamplesError` for one that is damaged or of another model."""
    try:
        _check_size(path, model, limits)
        with zipfile.ZipFile(path) as file:
            return _Reading(file, model, limits).classes()
    except _Unusable as error:
        why = str(error)
    except DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) else None
        why = f"it cannot be read ({reason})" if reason else "it is damaged"
    raise KeptExamplesError(path, why)


def _check_size(path: Path, model: KeptFor, limits: Limits) -> None:
    """Compare the size of a file and of its directory with the largest that `write_kept` makes."""
    most = limits.max_classes * limits.max_examples
    size = path.stat().st_size
    if size > MAX_LIST + MAX_HEADER + most * (4 * model.width + model.max_picture + ENTRY_BYTES):
        raise _Unusable("it is larger than what is kept of one model")
    with path.open("rb") as file:
        file.seek(max(0, size - END.size - LARGE.size))
        large, end = LARGE.unpack(file.read(LARGE.size)), END.unpack(file.read(END.size))
    mark, *_, directory, _, comment = end
    # A file of many entries would say at `large` where its directory is instead.
    if mark != b"PK\5\6" or comment or large[0] == b"PK\6\7" or directory > (most + 2) * ENTRY_BYTES:
        raise _Unusable("it is cut off, or whycam did not write it")


class _Reading:
    """One file, open."""

    def __init__(self, file: zipfile.ZipFile, model: KeptFor, limits: Limits) -> None:
        self._file, self._model, self._limits = file, model, limits

    def classes(self) -> list[TaughtClass]:
        """All of it."""
        listed = self._listed()
        count = sum(len(examples) for _, examples in listed)
        names = [LIST, VECTORS, *(PICTURE.format(number) for number in range(1, count + 1))]
        if sorted(self._file.namelist()) != sorted(names):
            raise _Unusable("it does not have the files that it lists")
        vectors = self._vectors(count)
        found, row = [], 0
        for name, examples in listed:
            taught = TaughtClass(name)
            for holding, giver in examples:
                taught.examples[row + 1] = Example(vectors[row], self._picture(row + 1), holding, giver)
                row += 1
            found.append(taught)
        return found

    def _content(self, name: str, most: int) -> bytes:
        info = self._file.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise _Unusable("whycam did not write it")
        if info.file_size > most:
            raise _Unusable(f"its {name} is too large")
        return self._file.read(info)

    def _listed(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Each class's name, and the holding and the giver of its examples."""
        about = json.loads(self._content(LIST, MAX_LIST))
        if about["whycam_examples"] != VERSION:
            raise _Unusable("another version of whycam wrote it")
        if about["model"] != self._model.sha256 or about["width"] != self._model.width:
            raise _Unusable("it belongs to another model's file")
        listed = [
            (_text(each["name"]), [(_text(one["holding"]), _text(one["giver"])) for one in each["examples"]])
            for each in about["classes"]
        ]
        if len(listed) > self._limits.max_classes or any(len(e) > self._limits.max_examples for _, e in listed):
            raise _Unusable("it has more classes or examples than there may be")
        return listed

    def _vectors(self, count: int) -> NDArray[np.float32]:  # (count, width)
        content = self._content(VECTORS, 4 * count * self._model.width + MAX_HEADER)
        stream = BytesIO(content)
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError(VECTORS)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if (shape, fortran, dtype) != ((count, self._model.width), False, np.dtype("<f4")):
            raise ValueError(VECTORS)
        vectors = np.frombuffer(content, "<f4", offset=stream.tell()).reshape(shape)
        if not np.isfinite(vectors).all():
            raise ValueError(VECTORS)
        return vectors.astype(np.float32, copy=False)

    def _picture(self, number: int) -> bytes:
        content = self._content(PICTURE.format(number), self._model.max_picture)
        with Image.open(BytesIO(content), formats=("JPEG",)) as image:  # reads its size only
            if image.size != self._model.size[::-1]:
                raise _Unusable("its pictures are of another size")
        return content


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise ValueError("no text")
    return value

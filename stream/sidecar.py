"""`predictions.jsonl`, the sidecar of an explained video: a header, then one line a frame. Enough to draw it again."""

from __future__ import annotations

import base64
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from models.contract import Contract
from stream.overlay import DrawnMap, View

VERSION = 1


class SidecarError(ValueError):
    """A file is not a sidecar of this version, or it is damaged."""


@dataclass(frozen=True, slots=True)
class SidecarFrame:
    """What was known of one frame: the maps of the best classes (best first), then those of other held ones."""

    pts: int
    """In 1/90000 s for a live recording, in the header's `time_base` otherwise."""
    age_ms: float | None
    """How much older than the frame the explanation is; None: there was none."""
    maps: tuple[DrawnMap, ...]
    view: View
    """How it was drawn."""


class SidecarWriter:
    """Writes a sidecar; a line is on its way to the disk when `write` returns.

    `header` says how the video was made: model, sha256, score, fit, settings (a `View`) and time_base (two numbers). A
    line holds settings where they are not those of the line before. The first `count` lines may be taken over from
    another sidecar, which may be this one.
    """

    def __init__(self, path: Path, header: dict[str, Any], *, taken: Path | None = None, count: int = 0) -> None:
        self.path = path
        self._header = header
        self._time_base = header["time_base"]
        self._settings = header.get("settings")
        self.last: SidecarFrame | None = None
        """What was written last."""
        if taken is not None:
            self._replace(header, islice(_complete_lines(taken), 1, count + 1))
            self.last = next(iter(deque(read_sidecar(path)[1], 1)), None)
            self._settings = asdict(self.last.view) if self.last is not None else self._settings
        # Buffered by line: a crash loses none that was written.
        self._file = path.open("w" if taken is None else "a", encoding="utf-8", newline="\n", buffering=1)
        if taken is None:
            self._file.write(_header(header))

    def _replace(self, header: dict[str, Any], lines: Iterable[bytes]) -> None:
        """Put these in the file's place, at once."""
        new = self.path.with_name(self.path.name + ".new")
        with new.open("wb") as file:
            file.write(_header(header).encode())
            file.writelines(lines)
        os.replace(new, self.path)

    def write(self, frame: SidecarFrame) -> None:
        """Add the line of one frame."""
        numerator, denominator = self._time_base
        settings = asdict(frame.view)
        changed = {} if settings == self._settings else {"settings": settings}
        self._settings, self.last = settings, frame
        self._file.write(
            _json(
                {
                    "pts": frame.pts,
                    "time": round(frame.pts * numerator / denominator, 6),
                    "classes": [m.class_id for m in frame.maps],
                    "labels": [m.label for m in frame.maps],
                    "scores": [round(m.score, 6) for m in frame.maps],
                    "age_ms": frame.age_ms,
                    "heatmaps": [
                        {
                            "class": m.class_id,
                            "evidence": float(f"{m.evidence:.6g}"),
                            "scale": m.scale,
                            "shape": list(m.grid.shape),
                            "data": base64.b64encode(m.grid.tobytes()).decode(),
                        }
                        for m in frame.maps
                    ],
                    **changed,
                }
            )
        )

    def amend(self, **more: object) -> None:
        """Finish the file, and say more in its header."""
        self.close()
        self._replace({**self._header, **more}, islice(_complete_lines(self.path), 1, None))

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def __enter__(self) -> SidecarWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def about_model(contract: Contract, sha256: str) -> dict[str, Any]:
    """What a sidecar's header says of the model; `size` is the height and width of its picture."""
    return {"model": contract.name, "sha256": sha256, "score": contract.score, "size": list(contract.size)}


def _header(header: dict[str, Any]) -> str:
    return _json({"whycam": VERSION, **header})


def _json(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def read_sidecar(path: Path) -> tuple[dict[str, Any], Iterator[SidecarFrame]]:
    """The header and the frames; a last line cut off by a crash is left out. Raises `SidecarError`."""
    lines = _complete_lines(path)
    header = _parse(path, 1, next(lines, b"{}"))
    if header.get("whycam") != VERSION:
        raise SidecarError(f"{path} is not a sidecar that this whycam reads (version {VERSION}).")
    return header, _frames(path, lines, _view(path, 1, header) if "settings" in header else View())


def _frames(path: Path, lines: Iterator[bytes], view: View) -> Iterator[SidecarFrame]:
    for number, line in enumerate(lines, 2):
        value = _parse(path, number, line)
        if "settings" in value:
            view = _view(path, number, value)
        try:
            maps = tuple(_maps(value["labels"], value["scores"], value["heatmaps"]))
            yield SidecarFrame(value["pts"], value["age_ms"], maps, view)
        except (KeyError, TypeError, ValueError) as error:
            raise SidecarError(f"{path} is damaged in line {number} ({error!r}).") from error


def _view(path: Path, number: int, value: dict[str, Any]) -> View:
    try:
        settings = value["settings"]
        # The first sidecars had no scale.
        scale = settings.get("scale", "own")
        return View(tuple(settings["hold"]), settings["opacity"], settings["colormap"], scale)
    except (KeyError, TypeError, ValueError) as error:
        raise SidecarError(f"{path} is damaged in line {number} ({error!r}).") from error


def _complete_lines(path: Path) -> Iterator[bytes]:
    # As bytes: a crash may have cut a letter, and a label may hold what Python's text counts as the end of a line.
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise SidecarError(f"{path} is damaged in line {number} ({error}).") from error
    if not isinstance(value, dict):
        raise SidecarError(f"{path} is damaged in line {number} (it is not a JSON object).")
    return value


def _maps(labels: Sequence[str], scores: Sequence[float], heatmaps: Sequence[dict[str, Any]]) -> Iterator[DrawnMap]:
    for label, score, heatmap in zip(labels, scores, heatmaps, strict=True):
        grid = np.frombuffer(base64.b64decode(heatmap["data"]), np.uint8).reshape(heatmap["shape"])
        yield DrawnMap(heatmap["class"], label, score, grid, heatmap["evidence"], heatmap["scale"])

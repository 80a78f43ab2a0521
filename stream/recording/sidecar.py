"""`predictions.jsonl`, the sidecar of an explained video: a header, then a line per frame, to draw it again."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from whycam.models.contract import Contract
from whycam.stream.inference.known_classes import ClassNames
from whycam.stream.overlay.heatmap import DrawnMap, OcclusionResult
from whycam.stream.overlay.view import View

VERSION = 1


class SidecarError(ValueError):
    """A file is not a sidecar of this version, or it is damaged."""


@dataclass(frozen=True, slots=True)
class SidecarFrame:
    """One frame's explanation: the maps of the best classes (best first), then those of other pinned ones."""

    pts: int
    """In 1/90000 s for a live recording, in the header's `time_base` otherwise."""
    age_ms: float | None
    """Age of the explanation relative to the frame; None without an explanation."""
    maps: tuple[DrawnMap, ...]
    view: View
    """The view with which it was drawn."""
    frozen: int | None = None
    """The pts of the frozen frame shown instead of this one; None if this frame is shown."""
    hidden: OcclusionResult | None = None
    """The occlusion result in the label."""
    file: str | None = None
    """Name of the photograph that it explains; None for a frame of a film."""
    class_set: ClassNames | None = None
    """The classes that replace the model's own; None for those."""


class SidecarWriter:
    """Writes a sidecar; `write` passes each line to the operating system at once.

    `header` says how the video was made: model, sha256, score, fit, settings (a `View`) and time_base (two numbers). A
    line has settings, and a class set, only if they changed. `append` continues an existing sidecar.
    """

    def __init__(self, path: Path, header: dict[str, Any], *, append: bool = False) -> None:
        begun = append and drop_cut_line(path) > 0
        # Line buffered: a crash of the process loses no written line.
        self._file = path.open("a" if begun else "w", encoding="utf-8", newline="\n", buffering=1)
        self._time_base = header["time_base"]
        self._settings = None if begun else header.get("settings")
        self._class_set = last_class_set(path) if begun else None
        if not begun:
            self._put(_with_version(header))

    def write(self, frame: SidecarFrame) -> None:
        """Append a frame's line."""
        numerator, denominator = self._time_base
        settings = frame.view.settings()
        if frame.frozen is not None:
            settings["frozen"] = frame.frozen
        changed = {} if settings == self._settings else {"settings": settings}
        self._settings = settings
        self._put(
            {
                "pts": frame.pts,
                "time": round(frame.pts * numerator / denominator, 6),
                **({} if frame.file is None else {"file": frame.file}),
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
                        **({"against": m.against} if m.against else {}),
                    }
                    for m in frame.maps
                ],
                **changed,
                **self._changed_classes(frame.class_set),
                **({} if frame.hidden is None else {"hidden": hidden_as_json(frame.hidden)}),
            }
        )

    def _changed_classes(self, class_set: ClassNames | None) -> dict[str, Any]:
        """The entry of a line whose classes are not those of the line before; null for the model's own."""
        if class_set == self._class_set:
            return {}
        self._class_set = class_set
        return {"class_set": class_set and class_set._asdict()}

    def _put(self, line: dict[str, Any]) -> None:
        self._file.write(_json(line))

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
    """The model's entries in a sidecar's header: `size` is the height and width of its input, `map` what is drawn."""
    drawn = contract.drawn_map()
    return {
        "model": contract.name,
        "sha256": sha256,
        "score": contract.score,
        "task": contract.task,
        "size": list(contract.input_size),
        "map": {"output": drawn.output, "method": drawn.method, "layer": drawn.layer, "grid": list(drawn.grid)},
    }


def map_title(drawn: Mapping[str, Any]) -> str:
    """The `map` of a sidecar's header, by method, layer and grid; empty if that has none."""
    title = " of ".join(str(drawn[key]) for key in ("method", "layer") if drawn.get(key))
    return f"{title}, {' x '.join(map(str, drawn['grid']))} cells" if title else ""


def rewrite(path: Path, header: dict[str, Any], taken: Path, count: int | None = None) -> None:
    """Atomically replace `path` by a header and the first `count` frame lines (None: all) of `taken`, maybe `path`."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(_json(_with_version(header)).encode())
        file.writelines(islice(_complete_lines(taken), 1, None if count is None else count + 1))
    os.replace(new, path)


def _with_version(header: dict[str, Any]) -> dict[str, Any]:
    return {"whycam": VERSION, **header}


def _json(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def drop_cut_line(path: Path) -> int:
    """Remove a last line that a crash or a full disk cut off; returns the number of lines. Raises `OSError`."""
    lines = end = 0
    with path.open("r+b") as file:
        for line in file:
            if line.endswith(b"\n"):
                lines += 1
                end += len(line)
        file.truncate(end)
    return lines


def last_class_set(path: Path) -> ClassNames | None:
    """The classes of the last line; None for the model's own. Raises `SidecarError`, and `OSError`."""
    found = None
    for number, line in enumerate(_complete_lines(path), 1):
        if _CLASS_SET in line and "class_set" in (value := _parse(path, number, line)):
            try:
                found = _class_names(value["class_set"])
            except (KeyError, TypeError, ValueError) as error:
                raise SidecarError(f"{path} is damaged in line {number} ({error!r}).") from error
    return found


def read_sidecar(path: Path) -> tuple[dict[str, Any], Iterator[SidecarFrame]]:
    """The header and the frames, without a cut-off last line. Raises `SidecarError`, also during iteration."""
    lines = _complete_lines(path)
    try:
        header = _parse(path, 1, next(lines, b"{}"))
    except SidecarError:
        header = {}
    if header.get("whycam") != VERSION:
        raise SidecarError(f"{path} is not a sidecar that this whycam reads (version {VERSION}).")
    return header, _frames(path, lines, *(_settings(path, 1, header) if "settings" in header else (View(), None)))


def _frames(path: Path, lines: Iterator[bytes], view: View, frozen: int | None) -> Iterator[SidecarFrame]:
    class_set: ClassNames | None = None
    for number, line in enumerate(lines, 2):
        value = _parse(path, number, line)
        if "settings" in value:
            view, frozen = _settings(path, number, value)
        try:
            class_set = _class_names(value["class_set"]) if "class_set" in value else class_set
            maps = tuple(_maps(value["labels"], value["scores"], value["heatmaps"]))
            hidden, file = _hidden(value.get("hidden")), value.get("file")
            yield SidecarFrame(value["pts"], value["age_ms"], maps, view, frozen, hidden, file, class_set)
        except (KeyError, TypeError, ValueError) as error:
            raise SidecarError(f"{path} is damaged in line {number} ({error!r}).") from error


_SINCE = {"scale": "own", "hide": False, "difference": False}
"""Settings that old sidecars lack, and what they mean."""


def _settings(path: Path, number: int, value: dict[str, Any]) -> tuple[View, int | None]:
    try:
        settings = value["settings"]
        # Old sidecars have no scale, no occlusion and no difference.
        scale, hide, difference = (settings.get(*each) for each in _SINCE.items())
        view = View(tuple(settings["hold"]), settings["opacity"], settings["colormap"], scale, hide, difference)
        return view, settings.get("frozen")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SidecarError(f"{path} is damaged in line {number} ({error!r}).") from error


def hidden_as_json(hidden: OcclusionResult) -> dict[str, Any]:
    """An occlusion result as JSON, for a sidecar's line and a report."""
    value = asdict(hidden)
    return {"class": value.pop("class_id"), **value}


def _hidden(value: dict[str, Any] | None) -> OcclusionResult | None:
    if value is None:
        return None
    return OcclusionResult(value["class"], value["label"], value["before"], value["after"], value["age_ms"])


def _class_names(value: dict[str, Any] | None) -> ClassNames | None:
    if value is None:
        return None
    return ClassNames(str(value["id"]), tuple((int(number), str(label)) for number, label in value["labels"]))


def _complete_lines(path: Path) -> Iterator[bytes]:
    # As bytes: a crash may have cut a character, and a label may contain what Python's text mode treats as a line end.
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
        against = heatmap.get("against", "")
        yield DrawnMap(heatmap["class"], label, score, grid, heatmap["evidence"], heatmap["scale"], against)


@dataclass(frozen=True, slots=True)
class Scores:
    """A frame's line without the maps."""

    time: float
    """In seconds."""
    classes: tuple[int, ...]
    labels: tuple[str, ...]
    scores: tuple[float, ...]

    @classmethod
    def of(cls, frame: SidecarFrame, time: float) -> Scores:
        """The scores of a frame shown at this time."""
        maps = frame.maps
        return cls(
            round(time, 6), tuple(m.class_id for m in maps), tuple(m.label for m in maps), tuple(m.score for m in maps)
        )


def read_scores(path: Path, start: int = 0) -> Iterator[tuple[int, Scores | None]]:
    """Each complete line from byte `start`: the offset of its end, and its scores; None for the header and for damage.

    The maps, nine tenths of a line, are not parsed, which makes this ten times as fast as `read_sidecar`.
    """
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):  # still being written, or cut off by a crash
                return
            start += len(line)
            yield start, _scores(line)


def _scores(line: bytes) -> Scores | None:
    head, maps, _ = line.partition(_MAPS)
    if not maps:
        return None
    try:
        value = json.loads(head + b"}")
        return Scores(float(value["time"]), tuple(value["classes"]), tuple(value["labels"]), tuple(value["scores"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


_CLASS_SET = b'"class_set":'
"""As `SidecarWriter` writes it."""
_MAPS = b',"heatmaps":'
"""As `SidecarWriter` writes it. Inside a string the quotes would be escaped."""

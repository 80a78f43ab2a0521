"""The messages on the data channels: reports to the page, commands from it, and refusals (docs/api.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from whycam.models.class_set import FIRST_NUMBER
from whycam.stream.inference.known_classes import KnownClasses
from whycam.stream.live.pipeline import Counts, Painted
from whycam.stream.overlay.heatmap import OcclusionResult, chosen, heat_of, is_difference, pinned
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import hidden_as_json
from whycam.stream.recording.writer import RecordingStatus

TOP = 5


CommandCode = Literal[
    "not-a-command",
    "unknown-key",
    "wrong-value",
    "no-recordings",
    "recording-off",
    "no-difference",
    "too-soon",
    "no-teaching",
    "full",
    "too-many-commands",
]
"""What is wrong with a command. The pages translate it."""


class CommandError(ValueError):
    """A command that is refused; the sentence says what was expected, the code what is wrong."""

    def __init__(self, sentence: str, code: CommandCode) -> None:
        super().__init__(sentence)
        self.code = code


STOP = -1
"""In place of a class's number: end the holding."""


@dataclass(frozen=True, slots=True)
class Command:
    """The view from now on, whether to record and to freeze the picture, and what to teach (None: no change)."""

    view: View
    record: bool | None = None
    freeze: bool | None = None
    teach: int | None = None
    """The number of the class that gets examples from now on; `STOP`: no class does."""


def report(
    painted: Painted,
    *,
    session: str,
    rtp_in: int,
    rtp_out: int | None,
    recording: RecordingStatus,
    sure: float,
    teaching: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One frame's report, as JSON; below the probability `sure` the best class is a guess.

    `teaching` is what the session teaches, as in docs/api.md.
    """
    best, asked_for = painted.maps[:TOP], pinned(painted.maps, painted.view)
    drawn = chosen(painted.maps, painted.view)
    return {
        "session": session,
        "pts": painted.frame.pts,
        "rtp_in": rtp_in,
        "rtp_out": rtp_out,
        "model": painted.model,
        "class_set": painted.class_set,
        "classes": [m.class_id for m in best],
        "labels": [m.label for m in best],
        "scores": [m.score for m in best],
        "held": [{"class": m.class_id, "label": m.label, "score": m.score} for m in asked_for],
        "map": {"method": painted.map.method, "layer": painted.map.layer, "grid": list(painted.map.grid)},
        "drawn": [{"class": m.class_id, "label": m.label, "heat": round(heat_of(m), 3)} for m in drawn],
        "difference": is_difference(drawn),
        "sure": sure,
        "age_ms": _rounded(painted.age_ms),
        "state": painted.state,
        "frozen": painted.frozen,
        "frozen_pts": painted.frozen_pts,
        "hidden": None if painted.hidden is None else _hidden(painted.hidden),
        "engine": painted.engine,
        "counts": _fields(painted.counts),
        "times": {"inference_ms": _rounded(painted.inference_ms), "frame_ms": _rounded(painted.frame_ms)},
        "view": painted.view.settings(),
        "recording": _fields(recording),
        "teaching": teaching,
    }


def stalled(last: dict[str, Any]) -> dict[str, Any]:
    """The last report with the state of a camera that sends nothing."""
    return last | {"state": "stalled"}


def as_text(content: dict[str, Any]) -> str:
    """A report as it is sent: without spaces, because thirty a second take a fifth of a megabit."""
    return json.dumps(content, separators=(",", ":"))


def for_viewers(full: dict[str, Any]) -> str:
    """A report as JSON up to its `rtp_out`, which `Viewer.report` adds: each viewer's stream has its own RTP times.

    It lacks the recording's folder, id and reason, which are not for viewers.
    """
    shown = full | {"recording": full["recording"] | {"folder": "", "id": "", "reason": ""}}
    del shown["rtp_out"]
    return f'{as_text(shown)[:-1]},"rtp_out":'


def refusal(error: CommandError) -> str:
    """The answer to a refused command, as JSON."""
    return json.dumps({"error": str(error), "code": error.code})


def _hidden(hidden: OcclusionResult) -> dict[str, Any]:
    return hidden_as_json(replace(hidden, age_ms=round(hidden.age_ms, 1)))


def _fields(record: Counts | RecordingStatus) -> dict[str, Any]:
    """The fields of a dataclass; `asdict` copies deeply, in a twelfth of the event loop's time."""
    return {name: getattr(record, name) for name in record.__slots__}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


KEYS = {"hold", "opacity", "colormap", "scale", "hide", "difference", "record", "freeze", "model", "teach"}


def parse_command(text: str, view: View, classes: KnownClasses, model: str, *, no_difference: str = "") -> Command:
    """The command in a JSON text, as changes to `view`; raises `CommandError`.

    Class numbers are those of `classes`, which `model` has now. Classes that it had before, or will have, are left out,
    because a page may not know yet that they changed. A command that names another model, because it was sent before
    the model changed, pins nothing and releases nothing. `no_difference` says why this model draws no difference, and
    is empty if it does.
    """
    fields = _fields_of(text)
    changes: dict[str, Any] = {}
    is_of_this_model = _model(fields, model) == model
    if "hold" in fields:
        changes["pinned"] = _classes(fields["hold"], classes if is_of_this_model else None)
    if "opacity" in fields:
        changes["opacity"] = _opacity(fields["opacity"])
    changes |= {key: fields[key] for key in ("colormap", "scale") if key in fields}
    for key, name in (("hide", "occlude"), ("difference", "difference")):
        on = _switch(fields, key)
        if on is not None:
            changes[name] = on
    try:
        changed = replace(view, **changes)
        wanted = changed if is_of_this_model else replace(changed, pinned=view.pinned)
        if changes.get("difference") and is_of_this_model:
            _check_difference(wanted, no_difference)
        if no_difference or len(wanted.pinned) != 2:  # it ends with one of its classes
            wanted = replace(wanted, difference=False)
        return Command(wanted, _switch(fields, "record"), _switch(fields, "freeze"), _taught(fields))
    except CommandError:
        raise
    except ValueError as error:
        raise CommandError(str(error), "wrong-value") from error


def _check_difference(view: View, no_difference: str) -> None:
    if no_difference:
        raise CommandError(no_difference, "no-difference")
    if len(view.pinned) != 2:
        raise CommandError(f"A difference is of two held classes, these are {len(view.pinned)}.", "wrong-value")


def _fields_of(text: str) -> dict[str, Any]:
    """The keys of a command, all known."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"A command is a JSON object; this is not JSON ({error}).", "not-a-command") from error
    if not isinstance(fields, dict):
        raise CommandError("A command is a JSON object.", "not-a-command")
    unknown = sorted(set(fields) - KEYS)
    if unknown:
        raise CommandError(f"A command has no key {', '.join(map(repr, unknown))}.", "unknown-key")
    return fields


def _model(fields: dict[str, Any], current: str) -> str:
    """The model that a command names, by default the current one."""
    value = fields.get("model", current)
    if not isinstance(value, str):
        raise CommandError("'model' should be the name of a model, as in a report.", "wrong-value")
    return value


def _switch(fields: dict[str, Any], key: str) -> bool | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, bool):
        raise CommandError(f"'{key}' should be true or false.", "wrong-value")
    return value


def _taught(fields: dict[str, Any]) -> int | None:
    if "teach" not in fields:
        return None
    number = fields["teach"]
    if number is not None and (type(number) is not int or number < FIRST_NUMBER):
        raise CommandError("'teach' should be the number of a taught class, or null.", "wrong-value")
    return STOP if number is None else number


def _opacity(value: object) -> float:
    # The bounds keep integers out that are too large for a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        raise CommandError("'opacity' should be a number from 0 to 1.", "wrong-value")
    return float(value)


def _classes(value: object, known: KnownClasses | None) -> tuple[int, ...]:
    """The numbers of known classes in a JSON value; None: of a model of which nothing is known."""
    own = None if known is None or known.class_set is not None else len(known.labels)
    if not isinstance(value, list) or not all(type(c) is int and _may_be_a_class(c, own) for c in value):
        limit = "on" if own is None else f"to {own - 1}"
        raise CommandError(f"'hold' should be a list of class numbers from 0 {limit}.", "wrong-value")
    return tuple(c for c in dict.fromkeys(value) if known is None or known.index(c) is not None)


def _may_be_a_class(number: int, own: int | None) -> bool:
    """Whether a model with `own` classes of its own (None: unknown), or a class set, may have this class."""
    return number >= 0 and (own is None or number < own or number >= FIRST_NUMBER)

"""From what a person calls a class to its number."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from stream.explainer import MAX_HELD


class TargetError(ValueError):
    """No class, or more than one, goes by that name; says which are near."""


def find_targets(names: Sequence[str], labels: Sequence[str]) -> tuple[int, ...]:
    """The numbers of classes given by name or number; raises `TargetError`."""
    if len(names) > MAX_HELD:
        raise TargetError(f"At most {MAX_HELD} classes can be shown, these are {len(names)}.")
    return tuple(dict.fromkeys(_find(name, labels) for name in names))


def _find(name: str, labels: Sequence[str]) -> int:
    if name.strip().lstrip("-").isdecimal():
        number = int(name)
        if not 0 <= number < len(labels):
            raise TargetError(f"The model has classes 0 to {len(labels) - 1}, not {number}.")
        return number
    wanted = _plain(name)
    plain = [_plain(label) for label in labels]
    for matches in (
        [number for number, label in enumerate(plain) if label == wanted],
        [number for number, label in enumerate(plain) if wanted in label.split()],
        [number for number, label in enumerate(plain) if wanted and wanted in label],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise TargetError(f"'{name}' may be {_listed(matches, labels)}. Give the whole name, or the number.")
    near = difflib.get_close_matches(wanted, plain, 5, 0.6)
    if near and (len(near) == 1 or difflib.SequenceMatcher(None, wanted, near[0]).ratio() >= 0.88):
        best = [number for number, label in enumerate(plain) if label == near[0]]
        if len(best) == 1:
            return best[0]
    if not near:
        raise TargetError(
            f"The model has no class '{name}'. Give one of its names, or a number 0 to {len(labels) - 1}."
        )
    matches = [number for label in dict.fromkeys(near) for number, other in enumerate(plain) if other == label]
    raise TargetError(f"The model has no class '{name}'. Near to it: {_listed(matches, labels)}.")


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


def _listed(numbers: Sequence[int], labels: Sequence[str]) -> str:
    most = 8
    shown = ", ".join(f"{labels[number]} ({number})" for number in numbers[:most])
    return shown + (f" and {len(numbers) - most} more" if len(numbers) > most else "")

"""Finds a class's number by name or number."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from whycam.stream.inference.explainer import MAX_PINNED
from whycam.stream.overlay.view import View

SURE = 0.88
"""Least similarity of a misspelt name: `bannana` (0.92) is accepted, `microvawe` (0.78) and `human` (0.6) are not."""


class TargetError(ValueError):
    """No class, or more than one, has that name; the message lists similar ones."""


def find_targets(
    names: Sequence[str], labels: Sequence[str] | Mapping[int, str], *, owner: str = "The model"
) -> tuple[int, ...]:
    """The numbers of classes given by name or number; `owner` has the labels, for messages. Raises `TargetError`."""
    known = labels if isinstance(labels, Mapping) else dict(enumerate(labels))
    if len(names) > MAX_PINNED:
        raise TargetError(f"At most {MAX_PINNED} classes can be shown, these are {len(names)}.")
    return tuple(dict.fromkeys(_find(name, known, owner) for name in names))


def asked_view(view: View, targets: Sequence[str], difference: tuple[str, str] | None, labels: Sequence[str]) -> View:
    """A view with the requested classes pinned, or the difference of two; raises `TargetError`."""
    if difference is None:
        return replace(view, pinned=find_targets(targets, labels))
    if targets:
        raise TargetError("A difference names its two classes itself. Leave out either the targets or the difference.")
    return replace(view, pinned=find_pair(difference, labels), difference=True)


def find_pair(names: tuple[str, str], labels: Sequence[str]) -> tuple[int, int]:
    """The numbers of two classes whose difference is drawn; raises `TargetError`, also if they are one class."""
    found = find_targets(names, labels)
    if len(found) != 2:
        raise TargetError(f"'{names[0]}' and '{names[1]}' are both {named(found, labels)}. A difference is of two.")
    return found[0], found[1]


def named(numbers: Sequence[int], labels: Sequence[str] | Mapping[int, str]) -> str:
    """Classes for a sentence: `banana (954), espresso (967)`."""
    max_names = 8
    shown = ", ".join(f"{labels[number]} ({number})" for number in numbers[:max_names])
    return shown + (f" and {len(numbers) - max_names} more" if len(numbers) > max_names else "")


def _find(name: str, labels: Mapping[int, str], owner: str) -> int:
    if name.strip().lstrip("-").isdecimal():
        number = int(name)
        if number not in labels:
            raise TargetError(f"{owner} has {_numbers(labels)}, not {number}.")
        return number
    wanted = _plain(name)
    plain = {number: _plain(label) for number, label in labels.items()}
    for matches in (
        [number for number, label in plain.items() if label == wanted],
        [number for number, label in plain.items() if wanted in label.split()],
        [number for number, label in plain.items() if _at_an_edge(wanted, label)],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise TargetError(f"'{name}' may be {named(matches, labels)}. Give the whole name, or the number.")
    near = difflib.get_close_matches(wanted, plain.values(), 5, 0.6)
    if near and difflib.SequenceMatcher(None, wanted, near[0]).ratio() >= SURE:
        best = [number for number, label in plain.items() if label == near[0]]
        if len(best) == 1:
            return best[0]
    if not near:
        raise TargetError(f"{owner} has no class '{name}'. Give one of its names, or a number: {_numbers(labels)}.")
    matches = [number for label in dict.fromkeys(near) for number, other in plain.items() if other == label]
    raise TargetError(f"{owner} has no class '{name}'. Similar: {named(matches, labels)}.")


def _at_an_edge(part: str, label: str) -> bool:
    """Whether a word of the label begins or ends with `part`; `mose` does not match `marmoset`."""
    return bool(part) and (f" {part}" in f" {label}" or f"{part} " in f"{label} ")


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())


def _numbers(labels: Mapping[int, str]) -> str:
    if len(labels) == max(labels, default=-1) + 1:
        return f"classes 0 to {len(labels) - 1}"
    return named(sorted(labels), labels)

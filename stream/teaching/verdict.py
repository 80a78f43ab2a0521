"""What is said of learned classes: how often they are right and on what, and which are confused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from whycam.stream.media.losses import listed, plural
from whycam.stream.teaching.accuracy import Mistake
from whycam.stream.teaching.heat_place import SUSPICION, is_suspicious
from whycam.stream.teaching.training import TOO_FEW, Trained

ALIKE = 2
"""Mistakes of one file that are shown for one class."""


class Confusion(NamedTuple):
    """How often examples of a class were taken for another."""

    label: str
    taken_for: str
    times: int
    tested: int
    """Tested examples of the class."""


def basis(trained: Trained) -> list[str]:
    """How often it is right, and what that was tested on, a sentence each."""
    held = trained.held
    if held is None:
        return [TOO_FEW]
    found = [f"{percent(held.share)} of {plural(held.tested, 'picture')} that it was not learned from are right."]
    parts, untested = trained.dataset.last_parts, trained.untested
    if parts:
        found.append(
            f"Of {listed(parts)} there is one film, so only its last part was left out, which is like the rest of it: "
            "another film would say more."
        )
    if len(parts) + len(untested) < len(trained.dataset.labels):
        found.append(f"{'Of the others w' if parts or untested else 'W'}hole films and pictures were left out.")
    if untested:
        found.append(f"Of {listed(untested)} nothing could be left out, so it was not tested.")
    return found


def confusions(trained: Trained) -> list[Confusion]:
    """Which classes were taken for which, the most often first."""
    if trained.held is None:
        return []
    labels, matrix = trained.dataset.labels, trained.held.confusion
    found = [
        Confusion(labels[own], labels[other], int(matrix[own, other]), int(matrix[own].sum()))
        for own in range(len(labels))
        for other in range(len(labels))
        if own != other and matrix[own, other]
    ]
    return sorted(found, key=lambda each: (-each.times / each.tested, each.label))


def typical_mistakes(trained: Trained, most: int) -> list[Mistake]:
    """The surest mistakes, of one file and for one class at most `ALIKE`: neighbouring frames are the same mistake."""
    found: list[Mistake] = []
    seen = Counter[tuple[str, int]]()
    for mistake in () if trained.held is None else trained.held.wrong:
        kind = (trained.dataset.holdings[mistake.example], mistake.taken_for)
        seen[kind] += 1
        if seen[kind] <= ALIKE:
            found.append(mistake)
    return found[:most]


def suspicions(trained: Trained) -> Iterator[str]:
    """Of each class whose heat is along the border of its pictures."""
    for label, look in zip(trained.dataset.labels, trained.looks, strict=True):
        if is_suspicious(look.place):
            yield f"{label}: {percent(look.place.border)} of its heat is along the border. {SUSPICION}"


def unread(sentences: Sequence[str], most: int = 5) -> list[str]:
    """What could not be read, with the number of what is not named."""
    if not sentences:
        return []
    more = [f"And {len(sentences) - most} more."] if len(sentences) > most else []
    return [f"Left out, {plural(len(sentences), 'file')} of it:", *sentences[:most], *more]


def percent(share: float) -> str:
    """In whole percent; 100 and 0 only where it is exactly so."""
    whole = round(100 * share)
    if whole == 100 and share < 1:
        return f"{100 * share:.1f}%" if share < 0.9995 else "99.9%"
    if whole == 0 and share > 0:
        return "<1%"
    return f"{whole}%"

"""Which map is the best: what a study's comparisons say, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from whycam.stream.measure.comparison import FEWEST, Comparison, Outcome, compare
from whycam.stream.measure.faithfulness import Faithfulness
from whycam.stream.report.measures import Column

Measures = Mapping[str, Sequence[Faithfulness]]
"""By name, the values of each image, in the same order for all."""
ADVISED = 30
"""Images from which on differences of maps are mostly found."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Each map beside one of them, the reference."""

    reference: str
    """A map's name: the model's default, or the first one if that was not measured."""
    is_default: bool
    compared: Mapping[str, Mapping[str, Comparison]]
    """Each other map, and each baseline, beside the reference: by name, then by the measure's field."""
    best: Mapping[str, Sequence[str]]
    """By the measure's field, the map with the best mean, then those that cannot be told from it."""
    sentences: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Without the comparisons, which are listed with the maps."""
        return {
            "reference": self.reference,
            "reference_is_default": self.is_default,
            "best": {field: list(names) for field, names in self.best.items()},
            "sentences": list(self.sentences),
        }

    def compared_json(self, name: str) -> dict[str, Any] | None:
        """A map's comparisons by the measure's field; None for the reference."""
        found = self.compared.get(name)
        return None if found is None else {field: _rounded(asdict(each)) for field, each in found.items()}


def judge(maps: Measures, baselines: Measures, columns: Sequence[Column], default: str) -> Verdict:
    """The verdict on maps, beside the default if it is among them, else beside the first."""
    reference = default if default in maps else next(iter(maps))
    compared = compare({**maps, **baselines}, reference, columns)
    best = {column.field: _best(maps, column) for column in columns}
    judged = _Judged(reference, reference == default, [name for name in maps if name != reference], compared, columns)
    images = len(maps[reference])
    if images < FEWEST:
        count = "One image is" if images == 1 else f"{images} images are"
        sentences = [
            f"{count} too few to tell maps apart: give {FEWEST} or more, better {ADVISED}, that differ from each other."
        ]
    else:
        sentences = [*judged.sentences(baselines), *_useless(maps, reference, baselines, columns)]
        if images < ADVISED:
            sentences.append(f"{images} images show large differences only: better give {ADVISED} or more.")
    return Verdict(reference, judged.is_default, compared, best, sentences)


def _best(maps: Measures, column: Column) -> list[str]:
    """The map with the best mean, and those that cannot be told from it; none if there is nothing to choose."""
    known = {name: values for name, values in maps.items() if _mean(values, column) is not None}
    if len(known) < 2 or len(next(iter(known.values()))) < FEWEST:
        return []
    first = max(known, key=lambda name: column.worth(_mean(known[name], column) or 0.0))
    others = compare(known, first, [column])
    return [first, *(name for name, found in others.items() if found[column.field].outcome != "worse")]


def _mean(values: Sequence[Faithfulness], column: Column) -> float | None:
    known = [value for value in (getattr(each, column.field) for each in values) if value is not None]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class _Judged:
    """The comparisons of the other maps with the reference, and the sentences about them."""

    reference: str
    is_default: bool
    others: Sequence[str]
    compared: Mapping[str, Mapping[str, Comparison]]
    columns: Sequence[Column]

    def _by(self, name: str, outcome: Outcome) -> list[str]:
        """The names of the measures by which a map is better or worse than the reference, or cannot be told from it."""
        own = self.compared[name]
        return [_said(each) for each in self.columns if each.field in own and own[each.field].outcome == outcome]

    def _with(self, column: Column, outcome: Outcome) -> list[str]:
        """The maps that are better or worse than the reference by a measure, or cannot be told from it."""
        found = {name: self.compared[name].get(column.field) for name in self.others}
        return [name for name, each in found.items() if each is not None and each.outcome == outcome]

    def sentences(self, baselines: Iterable[str]) -> Iterator[str]:
        """The answer first, then the measures, then the baselines."""
        if self.others:
            better = {name: found for name in self.others if (found := self._by(name, "better"))}
            mixed = {name: worse for name in better if (worse := self._by(name, "worse"))}
            yield self._answer({name: found for name, found in better.items() if name not in mixed}, bool(mixed))
            yield from self._by_measure()
            for name, worse in mixed.items():
                yield f"{name} is better by {_and(better[name])}, and worse by {_and(worse)}."
        gained = {name: self._by(name, "worse") for name in baselines}
        than = [f"than {name} by {_and(found) if found else 'no measure'}" for name, found in gained.items()]
        if than:
            yield f"{self.reference} is better {'; '.join(than)}."

    def _answer(self, choices: Mapping[str, Sequence[str]], are_others_better: bool) -> str:
        """From the maps that are better by some measures and worse by none."""
        named = f"the default, {self.reference}," if self.is_default else f"the first of these, {self.reference},"
        if choices:
            listed = "; ".join(f"{name} by {_and(found)}" for name, found in choices.items())
            return f"Better than {named} and worse by no measure: {listed}."
        if are_others_better:
            return f"No map is better than {named} by one measure without being worse by another."
        return f"No map is better than {named} by any measure."

    def _by_measure(self) -> Iterator[str]:
        """By which measures the reference is the best, alone or with others."""
        alone, shared = [], []
        for column in self.columns:
            if self._with(column, "better"):
                continue
            tied = self._with(column, "open")
            if tied:
                shared.append(f"{_said(column)} ({len(tied)})")
            elif self._with(column, "worse"):
                alone.append(_said(column))
        if alone:
            yield f"{self.reference} is the best, better than each other map, by {_and(alone)}."
        if shared:
            others = "the other" if len(self.others) == 1 else f"some of the {len(self.others)} others"
            yield f"No map is better than {self.reference}, but {others} cannot be told from it, by {_and(shared)}."


def _useless(maps: Measures, reference: str, baselines: Measures, columns: Sequence[Column]) -> Iterator[str]:
    """Which other maps are not better than a baseline by any measure."""
    for baseline, values in baselines.items():
        found = compare({**maps, baseline: values}, baseline, columns)
        others = [name for name in maps if name != reference]
        useless = [name for name in others if all(each.outcome != "better" for each in found[name].values())]
        if useless and len(useless) == len(others) > 1:
            yield f"No other map is better than {baseline} by any measure."
        elif useless:
            yield f"By no measure better than {baseline}: {_and(useless)}."


def _said(column: Column) -> str:
    """A measure's name within a sentence."""
    return column.name.replace(",", " of the") if column.name.startswith("ROAD") else column.name.lower()


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()}

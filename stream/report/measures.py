"""The measures of faithfulness as tables show them, and those of one film as its sidecar stores them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class Column(NamedTuple):
    """A measure as a table shows it."""

    field: str
    name: str
    is_better: str
    """'low', 'high' or 'near 0'."""
    meaning: str

    def worth(self, value: float) -> float:
        """A number that is higher for a better value."""
        return {"low": -value, "high": value, "near 0": -abs(value)}[self.is_better]


COLUMNS = (
    Column("deletion", "Deletion", "low", "area below the probability while the hottest pixels go first"),
    Column("insertion", "Insertion", "high", "area while the hottest pixels of the blurred image become sharp first"),
    Column("road_hottest", "ROAD, hottest", "low", "probability without the hottest pixels, their neighbours in place"),
    Column("road_coldest", "ROAD, coldest", "high", "probability without the coldest pixels"),
    Column("drop", "Drop", "low", "share of the probability that is lost if only the hot places are shown"),
    Column("rises", "Rises", "high", "share of images whose probability rises by that"),
    Column("pointing", "Pointing", "high", "share of images whose hottest place lies on the object"),
    Column("sanity", "Sanity", "near 0", "rank correlation with the map of the network with permuted weights"),
)


@dataclass(frozen=True, slots=True)
class FilmMeasures:
    """The means over some frames of a film, and those of noise in place of the heatmaps."""

    frames: int
    """Number of frames that were measured."""
    score: str
    """What the heatmaps explain, the class's probability or its logit. What is measured is always the probability."""
    took_s: float
    means: Mapping[str, float]
    """By the fields of `COLUMNS`."""
    noise: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """For a sidecar and for scripts, with six decimals."""
        rounded = {
            key: {name: round(value, 6) for name, value in getattr(self, key).items()} for key in ("means", "noise")
        }
        return {**asdict(self), "took_s": round(self.took_s, 3), **rounded}

    @classmethod
    def of_header(cls, header: Mapping[str, Any]) -> FilmMeasures | None:
        """The ones in a sidecar's header; None if there are none, or they are of another version."""
        try:
            return cls(**header["measures"])
        except (KeyError, TypeError):
            return None

    def rows(self) -> Iterator[tuple[Column, str, str]]:
        """Each measure with its mean and that of noise, as text."""
        for column in COLUMNS:
            if column.field in self.means:
                mean, noise = (values[column.field] for values in (self.means, self.noise))
                yield column, f"{mean:.3f}", f"{noise:.3f}"

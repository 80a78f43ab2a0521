"""The course of a recording: which classes were best, when and for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whycam.stream.recording.sidecar import Scores, read_scores

LABELS, MOMENTS = 5, 6
"""How many labels and pictures a shelf shows."""
SHORT_S = 0.3
"""A class that is best for less is a flicker, and no scene."""


@dataclass(slots=True)
class _Run:
    """Neighbouring frames with the same best class."""

    class_id: int
    begin: float
    end: float
    surest: float
    """When its probability was highest, and that."""
    score: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


class Course:
    """What the frames up to now tell: `add` them as they are written, or `catch_up` with a sidecar.

    It reads on where it had read to, so that a growing sidecar is read once. A long one takes no more memory than a
    short one: where the best class changes with every frame, all runs would be a third of a mebibyte a minute.
    """

    def __init__(self) -> None:
        self._read = 0  # bytes
        self._frames = 0
        self._best: Counter[int] = Counter()
        self._labels: dict[int, str] = {}
        self._longest: list[_Run] = []  # of those that are over, the longest first
        self._run: _Run | None = None
        self.seconds = 0.0
        """From the recording's zero to the end of its last explained frame."""
        self._last = 0.0

    def catch_up(self, sidecar: Path) -> None:
        """Read what was written since the last time; raises `OSError`. What cannot be understood is left out."""
        for end, scores in read_scores(sidecar, self._read):
            self._read = end
            if scores is not None:
                self.add(scores)

    def add(self, frame: Scores) -> None:
        """Take the next frame."""
        self._frames += 1
        self.seconds = frame.time + min(max(frame.time - self._last, 0.0), 0.1)  # as long as the frame before
        self._last = frame.time
        if not frame.classes:
            return
        class_id, score = frame.classes[0], frame.scores[0]
        self._best[class_id] += 1
        self._labels[class_id] = frame.labels[0]
        run = self._run
        if run is None or run.class_id != class_id:
            self._longest = self._with_the_last()
            run = self._run = _Run(class_id, frame.time, frame.time, frame.time, score)
        run.end = frame.time
        if score > run.score:
            run.surest, run.score = frame.time, score

    def summary(self) -> dict[str, Any]:
        """What a shelf shows of it, as JSON: the labels that were best most often, and times worth a picture."""
        return {"labels": self.shares(LABELS), "moments": self.moments()}

    def shares(self, max_count: int) -> list[dict[str, Any]]:
        """The labels that were best most often, each with its share of all frames."""
        return [
            {"label": self._labels[class_id], "share": round(count / self._frames, 3)}
            for class_id, count in self._best.most_common(max_count)
        ]

    def moments(self) -> list[float]:
        """Times worth a picture: of the longest scenes with one best class, where it was surest; in order of time."""
        longest = self._with_the_last()
        scenes = [run for run in longest if run.seconds >= SHORT_S] or longest[:1]
        return sorted(round(run.surest, 3) for run in scenes)

    def _with_the_last(self) -> list[_Run]:
        """The longest runs, that of the newest frame among them."""
        runs = self._longest if self._run is None else [*self._longest, self._run]
        return sorted(runs, key=lambda run: -run.seconds)[:MOMENTS]

    def timeline(self, sidecar: Path, most_times: int, most_classes: int) -> dict[str, Any]:
        """The probabilities of the classes that were best most often, at times spread evenly over the frames.

        None where a class was not among those of its frame: it was less than the fifth best. Raises `OSError`.
        """
        self.catch_up(sidecar)
        chosen = [class_id for class_id, _ in self._best.most_common(most_classes)]
        frames = list(self._every(max(1, -(-self._frames // most_times)), sidecar))
        known = [dict(zip(frame.classes, frame.scores, strict=False)) for frame in frames]
        return {
            "times": [frame.time for frame in frames],
            "classes": [
                {
                    "class": class_id,
                    "label": self._labels[class_id],
                    "scores": [None if (s := each.get(class_id)) is None else round(s, 4) for each in known],
                }
                for class_id in chosen
            ],
        }

    def _every(self, step: int, sidecar: Path) -> Iterator[Scores]:
        number = 0
        for end, scores in read_scores(sidecar):
            if end > self._read:
                return
            if scores is not None:
                if number % step == 0:
                    yield scores
                number += 1

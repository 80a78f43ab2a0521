"""Summary of a recording: which classes were best, when and for how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whycam.stream.recording.sidecar import Scores, read_scores

LABELS, MOMENTS = 5, 6
"""Number of labels and thumbnails in the list of recordings."""
SHORT_S = 0.3
"""Seconds; a class that is best for less is a flicker, not a scene."""


@dataclass(slots=True)
class _Run:
    """Consecutive frames with the same best class."""

    class_id: int
    begin: float
    end: float
    surest: float
    """Time of its highest probability, which is `score`."""
    score: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


class ClassStatistics:
    """Statistics of the frames so far: `add` them as they are written, or `catch_up` with a sidecar.

    Reading continues from the last position, so that a growing sidecar is read once. Memory is bounded: if the best
    class changes with every frame, all runs would take a third of a mebibyte per minute.
    """

    def __init__(self) -> None:
        self._read = 0  # bytes
        self._frames = 0
        self._best: Counter[int] = Counter()
        self._labels: dict[int, str] = {}
        self._longest: list[_Run] = []  # of finished runs, the longest first
        self._run: _Run | None = None
        self.seconds = 0.0
        """End of the last explained frame, from the recording's zero."""
        self._last = 0.0

    def catch_up(self, sidecar: Path) -> None:
        """Read what was written since the last call; raises `OSError`. Damaged lines are skipped."""
        for end, scores in read_scores(sidecar, self._read):
            self._read = end
            if scores is not None:
                self.add(scores)

    def add(self, frame: Scores) -> None:
        """Take the next frame."""
        self._frames += 1
        self.seconds = frame.time + min(max(frame.time - self._last, 0.0), 0.1)  # the duration of the frame before
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
        """Its entry in the list of recordings, as JSON: the labels that were best most often, and thumbnail times."""
        return {"labels": self.shares(LABELS), "moments": self.moments()}

    def shares(self, max_count: int) -> list[dict[str, Any]]:
        """The labels that were best most often, each with its share of all frames."""
        return [
            {"label": self._labels[class_id], "share": round(count / self._frames, 3)}
            for class_id, count in self._best.most_common(max_count)
        ]

    def moments(self) -> list[float]:
        """Times for thumbnails, in order: where the class of each of the longest scenes was most probable."""
        longest = self._with_the_last()
        scenes = [run for run in longest if run.seconds >= SHORT_S] or longest[:1]
        return sorted(round(run.surest, 3) for run in scenes)

    def _with_the_last(self) -> list[_Run]:
        """The longest runs, including the current one."""
        runs = self._longest if self._run is None else [*self._longest, self._run]
        return sorted(runs, key=lambda run: -run.seconds)[:MOMENTS]

    def timeline(self, sidecar: Path, most_times: int, most_classes: int) -> dict[str, Any]:
        """The probabilities of the classes that were best most often, at evenly spaced frames.

        None where a class is not stored for the frame, as less than the fifth best. Raises `OSError`.
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

"""Whose picture is next: questions wait in the order in which they came, and each has one picture a turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from whycam.stream.inference.explainer import Explanation
from whycam.stream.video.planes import Bytes


class InferenceRequest:
    """Pictures (N, H, W, 3) with their targets (N, K), and the explanation that is owed."""

    def __init__(self, pictures: Bytes, targets: NDArray[np.int64]) -> None:
        self.pictures = pictures
        self.targets = targets
        self.answer: Future[Explanation] = Future()
        self._parts: list[Explanation] = []

    def add(self, part: Explanation) -> None:
        """Take the explanation of the next picture; behind the last one the question is answered."""
        self._parts.append(part)
        if len(self._parts) == len(self.pictures):
            arrays = zip(*((p.scores, p.classes, p.heatmaps, p.evidence) for p in self._parts), strict=True)
            self.answer.set_result(Explanation(*(a[0] if len(a) == 1 else np.concatenate(a) for a in arrays)))

    def fail(self, error: Exception) -> None:
        """Answer with an error; a question that was answered or given up stays as it is."""
        with suppress(InvalidStateError):
            self.answer.set_exception(error)


class InferenceBatch:
    """Pictures of one or several questions that are explained in one run."""

    def __init__(self, shares: Sequence[tuple[InferenceRequest, int]]) -> None:
        self._shares = shares
        widest = max(question.targets.shape[1] for question, _ in shares)
        self.pictures: Bytes = np.stack([question.pictures[index] for question, index in shares])  # (N, H, W, 3)
        # A run has one K: shorter questions are asked for the best class as well, and that answer is dropped.
        self.targets = np.full((len(shares), widest), -1, np.int64)  # (N, K)
        for row, (question, index) in enumerate(shares):
            self.targets[row, : question.targets.shape[1]] = question.targets[index]

    def __len__(self) -> int:
        return len(self._shares)

    def answer(self, found: Explanation) -> None:
        """Hand each question its part."""
        for row, (question, _) in enumerate(self._shares):
            one, own = slice(row, row + 1), slice(question.targets.shape[1])
            question.add(
                Explanation(
                    found.scores[one], found.classes[one, own], found.heatmaps[one, own], found.evidence[one, own]
                )
            )

    def fail(self, error: Exception) -> None:
        """Answer each question with an error."""
        for question, _ in self._shares:
            question.fail(error)


class Scheduler:
    """The questions that wait. A question of many pictures goes to the back of the line after each of them.

    So whoever asks for one picture waits for at most one picture of each of the others, however many those ask for.
    """

    def __init__(self) -> None:
        self._line: deque[tuple[InferenceRequest, int]] = deque()  # each with the number of its next picture

    def __len__(self) -> int:
        return len(self._line)

    @property
    def pictures(self) -> int:
        """How many pictures wait."""
        return sum(len(question.pictures) - index for question, index in self._line)

    def add(self, question: InferenceRequest) -> None:
        """Let a question wait behind the others."""
        self._line.append((question, 0))

    def take(self, max_size: int) -> InferenceBatch | None:
        """The next pictures, at most so many; None where nobody waits."""
        shares: list[tuple[InferenceRequest, int]] = []
        while self._line and len(shares) < max_size:
            question, index = self._line.popleft()
            if question.answer.done() or (index == 0 and not question.answer.set_running_or_notify_cancel()):
                continue  # given up by who asked
            shares.append((question, index))
            if index + 1 < len(question.pictures):
                self._line.append((question, index + 1))
        return InferenceBatch(shares) if shares else None

    def clear(self) -> list[InferenceRequest]:
        """Take all questions out of the line."""
        questions = [question for question, _ in self._line]
        self._line.clear()
        return questions

"""Schedules the images of requests round-robin: each request gets one image per turn, in order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from whycam.models.class_set import ClassSet
from whycam.stream.inference.explanation import Explanation, joined
from whycam.stream.video.planes import Bytes


class InferenceRequest:
    """Images (N, H, W, 3) with their targets (N, K) and classes, and the future of their explanation."""

    def __init__(self, images: Bytes, targets: NDArray[np.int64], class_set: ClassSet | None = None) -> None:
        self.images = images
        self.targets = targets
        self.class_set = class_set
        self.answer: Future[Explanation] = Future()
        self._parts: list[Explanation] = []

    def add(self, part: Explanation) -> None:
        """Add the explanation of the next image; the last one answers the request."""
        self._parts.append(part)
        if len(self._parts) == len(self.images):
            self.answer.set_result(joined(self._parts))

    def fail(self, error: Exception) -> None:
        """Answer with an error; no effect if the request is answered or cancelled."""
        with suppress(InvalidStateError):
            self.answer.set_exception(error)


class InferenceBatch:
    """Images of one or several requests of the same classes, which are explained in one run."""

    def __init__(self, shares: Sequence[tuple[InferenceRequest, int]]) -> None:
        self._shares = shares
        self.class_set = shares[0][0].class_set
        widest = max(request.targets.shape[1] for request, _ in shares)
        self.images: Bytes = np.stack([request.images[index] for request, index in shares])  # (N, H, W, 3)
        # A run has one K: shorter rows are padded with the best class, and its maps are dropped.
        self.targets = np.full((len(shares), widest), -1, np.int64)  # (N, K)
        for row, (request, index) in enumerate(shares):
            self.targets[row, : request.targets.shape[1]] = request.targets[index]

    def __len__(self) -> int:
        return len(self._shares)

    def answer(self, found: Explanation) -> None:
        """Give each request its part of the explanation."""
        for row, (request, _) in enumerate(self._shares):
            request.add(found[row : row + 1].first(request.targets.shape[1]))

    def fail(self, error: Exception) -> None:
        """Answer each request with an error."""
        for request, _ in self._shares:
            request.fail(error)


class Scheduler:
    """The waiting requests. After each of its images, a request goes to the end of the queue.

    A request with one image therefore waits for at most one image of each other request.
    """

    def __init__(self) -> None:
        self._queue: deque[tuple[InferenceRequest, int]] = deque()  # each with the number of its next image

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def images(self) -> int:
        """The number of waiting images."""
        return sum(len(request.images) - index for request, index in self._queue)

    def add(self, request: InferenceRequest) -> None:
        """Append a request to the queue."""
        self._queue.append((request, 0))

    def take(self, max_size: int) -> InferenceBatch | None:
        """The next images of the same classes, at most `max_size`; None if none wait."""
        shares: list[tuple[InferenceRequest, int]] = []
        while self._queue and len(shares) < max_size and self._fits(shares):
            request, index = self._queue.popleft()
            if request.answer.done() or (index == 0 and not request.answer.set_running_or_notify_cancel()):
                continue  # cancelled by the caller
            shares.append((request, index))
            if index + 1 < len(request.images):
                self._queue.append((request, index + 1))
        return InferenceBatch(shares) if shares else None

    def _fits(self, shares: Sequence[tuple[InferenceRequest, int]]) -> bool:
        """Whether the next image has the same classes as those taken."""
        return not shares or _id(self._queue[0][0]) == _id(shares[0][0])

    def clear(self) -> list[InferenceRequest]:
        """Remove and return all requests."""
        requests = [request for request, _ in self._queue]
        self._queue.clear()
        return requests


def _id(request: InferenceRequest) -> str:
    return "" if request.class_set is None else request.class_set.id

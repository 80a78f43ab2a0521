"""A film's frames at their times; one that could not be read is replaced by the frame before it, and counted."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import av

from whycam.stream.video.planes import copied


class Timeline:
    """Orders the frames of one film; it keeps one back, to show it again if the next cannot be read.

    `step` is the distance of frames without a time, in the film's time base. If `whole`, each packet makes a frame, so
    a time without one is a gap; otherwise, as with VP8's invisible frames, it is one only after an error.
    """

    def __init__(self, step: int, *, whole: bool) -> None:
        self._step = max(1, step)
        self._whole = whole
        self._expected: list[int] = []  # a heap of pts sent to the decoder
        self._held: av.VideoFrame | None = None
        self._errors = 0  # that no repeated frame accounts for yet
        self._skipped = 0  # times before the first frame
        self.concealed = 0
        """Frames that could not be read completely; shown as the one before, or as the decoder repaired them."""
        self.lost = 0
        """Frames that could not be read and have no replacement."""

    def expect(self, pts: int | None) -> None:
        """Note that a frame of this time was sent to the decoder."""
        if pts is not None:
            heapq.heappush(self._expected, pts)

    def note_error(self) -> None:
        """Note a decoder error."""
        self._errors += 1

    def place(
        self, frame: av.VideoFrame, *, repaired: bool = False, is_of_fields: bool = False
    ) -> Iterator[av.VideoFrame]:
        """Take a decoded frame, intact or `repaired` by the decoder; yields what can be shown, with increasing pts.

        A frame made of two fields may have been in two packets.
        """
        last = self._held.pts if self._held is not None else None
        if frame.pts is None:
            frame.pts = 0 if last is None else last + self._step
        yield from self._fill(frame.pts, whole=self._whole and not is_of_fields)
        before = self._held.pts if self._held is not None else None
        if before is not None and frame.pts <= before:
            frame.pts = before + 1  # the encoder refuses equal times
        self.concealed += repaired
        if self._held is not None:
            yield self._held
        self._held = frame

    def end(self) -> Iterator[av.VideoFrame]:
        """The remaining frames; settles the counts."""
        yield from self._fill(None, whole=self._whole)
        if self._held is not None:
            yield self._held
        self._held = None
        # An error although every time has a frame: the decoder repaired it.
        self.lost = min(self._errors, self._skipped)
        self.concealed, self._errors = self.concealed + self._errors - self.lost, 0

    def _fill(self, until: int | None, *, whole: bool) -> Iterator[av.VideoFrame]:
        while self._expected and (until is None or self._expected[0] <= until):
            pts = heapq.heappop(self._expected)
            if pts == until or not (whole or self._errors):
                continue
            if self._held is None or self._held.pts is None or pts <= self._held.pts:
                self._skipped += self._held is None
                continue
            again = copied(self._held)
            yield self._held
            again.pts, self._held = pts, again
            self.concealed += 1
            self._errors = max(0, self._errors - 1)

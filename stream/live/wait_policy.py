"""Decides how long a live frame may wait for its own heatmap."""

from __future__ import annotations

WAITS_BELOW, WAITS_AGAIN_BELOW = 0.75, 0.5
"""Shares of the camera's frame interval that the model may take; the rest is for decoding, painting and encoding."""
DWELL = 2 * 90_000
"""Time without waiting, in 1/90000 s, after the model was too slow, so that the frame rate does not change all the
time."""


class WaitPolicy:
    """Lets frames wait only while the model keeps up with the camera.

    It learns the camera's rate from timestamps, and the model's time from answers and from pending requests.
    """

    def __init__(self) -> None:
        self.inference_ms: float | None = None
        """Milliseconds that the model takes, smoothed."""
        self._interval_ms = 1000 / 30
        self._paced = False
        self._last_pts: int | None = None
        self._waits = True
        self._stopped_waiting_at = 0

    def saw_frame(self, pts: int) -> None:
        """Learn the camera's rate; pts in 1/90000 s."""
        if self._last_pts is not None and 0 < pts - self._last_pts < 90_000:
            step_ms = (pts - self._last_pts) / 90
            self._interval_ms += (0.1 if self._paced else 1) * (step_ms - self._interval_ms)
            self._paced = True
        self._last_pts = pts

    def saw_answer(self, elapsed_ms: float) -> None:
        """Learn the model's time from an answered request."""
        before = elapsed_ms if self.inference_ms is None else self.inference_ms
        self.inference_ms = before + 0.2 * (elapsed_ms - before)
        if self._waits:
            self._stop_waiting_if_slow(self.inference_ms)
        elif (self._last_pts or 0) - self._stopped_waiting_at >= DWELL:
            self._waits = self.inference_ms < WAITS_AGAIN_BELOW * self._interval_ms

    def observe_pending(self, elapsed_ms: float) -> None:
        """Learn from a pending request: one that takes three frame intervals is no outlier any more."""
        self._stop_waiting_if_slow(elapsed_ms / 3)

    def _stop_waiting_if_slow(self, elapsed_ms: float) -> None:
        if self._waits and self._paced and elapsed_ms >= WAITS_BELOW * self._interval_ms:
            self._waits = False
            self._stopped_waiting_at = self._last_pts or 0

    def seconds(self, spent_ms: float) -> float:
        """Seconds that a frame may wait after `spent_ms` milliseconds in the pipeline."""
        return max(0.0, WAITS_BELOW * self._interval_ms - spent_ms) / 1000 if self._waits else 0.0

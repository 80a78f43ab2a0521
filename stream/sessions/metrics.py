"""A server's metrics for Prometheus: frames by outcome, times, sessions, the model, the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:  # for the annotations only
    from whycam.stream.inference.engine import Health
    from whycam.stream.live.pipeline import Counts, Painted

_BUCKETS_S = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts and times of all sessions since the server started; `text` is the content of `/metrics`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()  # not the global one, because a process may have two servers
        self._frame = self._histogram("whycam_frame_seconds", "From a frame's arrival until it is encoded.")
        self._model = self._histogram("whycam_inference_seconds", "For one answer of the model.")
        self._age = self._histogram("whycam_heatmap_age_seconds", "How much older than its frame a heatmap is.")
        self._ended: dict[str, int] = {}
        self._sessions_ended = 0

    def _histogram(self, name: str, says: str) -> Histogram:
        return Histogram(name, says, buckets=_BUCKETS_S, registry=self._registry)

    def saw_frame(self, painted: Painted) -> None:
        """Observe the times of a frame that is sent."""
        self._frame.observe(painted.frame_ms / 1000)
        if painted.inference_ms is not None:
            self._model.observe(painted.inference_ms / 1000)
        if painted.age_ms is not None:
            self._age.observe(painted.age_ms / 1000)

    def saw_end(self, counts: Counts) -> None:
        """Add the counts of a session that ended."""
        self._sessions_ended += 1
        for outcome, count in asdict(counts).items():
            self._ended[outcome] = self._ended.get(outcome, 0) + count

    def text(
        self,
        running: Sequence[Counts],
        viewers: int,
        model: str,
        engine: Health,
        lag_ms: float,
        free: int | None,
        duty: float = 1.0,
    ) -> bytes:
        """All metrics in Prometheus's text format; `free` is in bytes, None if nothing is recorded.

        `duty` is the share of the time in which the model may run (`stream.live.inference_pace`).
        """
        now = CollectorRegistry()
        gauges = [
            _model(model),
            GaugeMetricFamily("whycam_inference_duty", "The share of the time for the model.", duty),
        ]
        now.register(_Now([*gauges, *self._now(running, viewers, engine, lag_ms, free)]))
        return generate_latest(self._registry) + generate_latest(now)

    def _now(
        self, running: Sequence[Counts], viewers: int, engine: Health, lag_ms: float, free: int | None
    ) -> Iterator[Metric]:
        totals = dict(self._ended)
        for counts in running:
            for outcome, count in asdict(counts).items():
                totals[outcome] = totals.get(outcome, 0) + count
        yield _frames("whycam_frames_by_outcome", "Frames by outcome.", "outcome", totals)
        # The counter's old name. It stays for one version, so that dashboards can be changed.
        yield _frames("whycam_frames", "Old name of whycam_frames_by_outcome_total.", "fate", totals)
        yield CounterMetricFamily("whycam_sessions_ended", "Sessions that have ended.", self._sessions_ended)
        yield CounterMetricFamily("whycam_engine_restarts", "Restarts of the current model.", engine.restarts)
        yield GaugeMetricFamily("whycam_engine_up", "Whether the model answers.", engine.state == "running")
        yield GaugeMetricFamily("whycam_sessions", "Sessions now.", len(running))
        yield GaugeMetricFamily("whycam_viewers", "Viewers now.", viewers)
        yield GaugeMetricFamily(
            "whycam_loop_lag_seconds", "The event loop's lag, 99th percentile of the last minute.", lag_ms / 1000
        )
        if free is not None:
            yield GaugeMetricFamily("whycam_disk_free_bytes", "Free bytes on the recordings' disk.", free)


def _model(name: str) -> Metric:
    model = GaugeMetricFamily("whycam_model", "1 for the current model.", labels=["model"])
    model.add_metric([name], 1)
    return model


def _frames(name: str, says: str, label: str, totals: Mapping[str, int]) -> Metric:
    frames = CounterMetricFamily(name, says, labels=[label])
    for outcome, count in totals.items():
        frames.add_metric([outcome], count)
    return frames


class _Now(Collector):
    """The metrics that are computed at the moment of a request."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Sequence[Metric]:
        return self._metrics

"""The server's health from outside: `/healthz`, metrics for Prometheus, one log line per session."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from tests.support.clients.camera_client import calling
from tests.support.clients.whep_client import watching
from tests.support.films import media_samples
from tests.support.models.engines import fast
from tests.support.servers.calls import served
from tests.support.servers.server_process import serving
from whycam.stream.limits import Limits
from whycam.stream.logs import JsonLines
from whycam.stream.server.health import LoopLag
from whycam.stream.sessions.registry import Sessions
from whycam.stream.sessions.session import Settings

FRAMES = media_samples.encoded("VP8", 60, (64, 48))


async def health(http: ClientSession, base: str) -> dict[str, Any]:
    async with http.get(f"{base}/healthz") as answer:
        assert answer.status == 200
        found = await answer.json()
        assert isinstance(found, dict)
        return found


async def numbers(http: ClientSession, base: str) -> dict[str, float]:
    """`/metrics` as Prometheus's own parser reads it."""
    async with http.get(f"{base}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value for sample in samples}


def test_the_metrics_are_what_the_phone_counted(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        before = await numbers(http, base)
        assert (before["whycam_sessions"], before["whycam_frame_seconds_count"]) == (0, 0)
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 20)
            async with watching(http, base, phone.location.rpartition("/")[2]):
                during = await numbers(http, base)
                assert (during["whycam_sessions"], during["whycam_viewers"], during["whycam_engine_up"]) == (1, 1, 1)
                assert during["whycam_disk_free_bytes"] > 0
            phone.camera.running.clear()
            await asyncio.sleep(0.5)
            counts = phone.reports[-1]["counts"]
            assert (await http.delete(phone.location)).status == 204
        after = await numbers(http, base)
        for outcome, count in counts.items():
            assert after[f"whycam_frames_by_outcome_total/{outcome}"] == count
        assert counts["decoded"] == counts["explained"] + counts["passed"] + counts["dropped"]
        assert after["whycam_frame_seconds_count"] == counts["explained"] + counts["passed"]
        assert after["whycam_frame_seconds_bucket/5.0"] == after["whycam_frame_seconds_count"]
        assert 0 < after["whycam_inference_seconds_sum"] < 60
        assert (after["whycam_sessions"], after["whycam_sessions_ended_total"]) == (0, 1)

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings"), body)


def test_the_old_frame_counter_has_the_values_of_the_new_one(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            await http.delete(phone.location)
        found = await numbers(http, base)
        new, old = (
            {key.removeprefix(name): value for key, value in found.items() if key.startswith(name)}
            for name in ("whycam_frames_by_outcome_total/", "whycam_frames_total/")
        )
        assert new.keys() == {"received", "lost", "decoded", "explained", "passed", "dropped"}
        assert new["received"] >= 10
        assert old == new

    served(fast(tmp_path), Settings(), body)


def test_two_calls_are_added_up_and_a_second_server_counts_for_itself(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        seen = 0
        for _ in range(2):
            async with calling(http, base, FRAMES) as phone:
                await phone.until(lambda phone=phone: len(phone.reports) >= 10)
                seen += 10
                await http.delete(phone.location)
        found = await numbers(http, base)
        assert found["whycam_frames_by_outcome_total/received"] >= seen
        assert found["whycam_sessions_ended_total"] == 2

    served(fast(tmp_path), Settings(), body)
    assert Settings().metrics is not Settings().metrics


def test_health_says_what_is_wrong(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        found = await health(http, base)
        assert found["status"] == "degraded"
        assert found["problems"] == ["The disk has too little room for recordings."]
        assert found["disk_free"] > 0

    served(fast(tmp_path), Settings(recordings=tmp_path / "recordings", limits=Limits(min_free_bytes=1 << 60)), body)


def test_without_recordings_no_disk_is_reported(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        found = await health(http, base)
        assert (found["status"], found["disk_free"]) == ("ok", None)
        assert "whycam_disk_free_bytes" not in await numbers(http, base)

    served(fast(tmp_path), Settings(), body)


def test_health_and_metrics_are_for_the_host_only(tmp_path: Path) -> None:
    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        for path in ("/healthz", "/metrics"):
            answer = await http.get(base + path, headers={"X-Forwarded-For": "192.0.2.1"})
            assert answer.status == 401

    served(fast(tmp_path), Settings(), body)


def test_the_loop_lag_is_how_late_the_loop_is() -> None:
    async def measured() -> tuple[float, float, float]:
        loop_lag = LoopLag(0.01)
        assert loop_lag.lag_ms(1) == 0
        loop_lag.start()
        await asyncio.sleep(0.3)
        calm = loop_lag.lag_ms(0.5)
        time.sleep(0.2)  # noqa: ASYNC251 - something blocks the loop
        await asyncio.sleep(0.05)
        await loop_lag.stop()
        return calm, loop_lag.lag_ms(0.5), loop_lag.lag_ms(1)

    calm, median, worst = asyncio.run(measured())
    assert calm < 100
    assert median < 100
    assert 150 < worst < 1000


def test_a_session_that_ends_is_one_line_that_adds_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def body(http: ClientSession, base: str, sessions: Sessions) -> None:
        async with calling(http, base, FRAMES) as phone:
            await phone.until(lambda: len(phone.reports) >= 10)
            await http.delete(phone.location)

    served(fast(tmp_path), Settings(), body)
    (record,) = [record for record in caplog.records if "ended after" in record.getMessage()]
    line = json.loads(JsonLines().format(record))
    assert re.fullmatch(
        r"Session \S+ ended after [\d.]+ s\. The call was hung up\. Frames: \d+ received, .*", line["says"]
    )
    assert line["received"] == line["decoded"] + line["lost"] >= 10
    assert line["decoded"] == line["explained"] + line["passed"] + line["dropped"]
    assert (line["why"], line["code"]) == ("The call was hung up.", None)
    assert (line["level"], line["from"]) == ("info", "whycam.stream.sessions.session")
    assert 0 < line["seconds"] < 60


def test_an_error_is_one_line_too() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.LogRecord("stream.x", logging.ERROR, "", 1, "It %s", ("broke",), sys.exc_info())
    text = JsonLines().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line["says"] == "It broke"
    assert line["error"].endswith("ValueError: a\nb")


def test_the_servers_log_is_json_where_it_is_asked_for(tmp_path: Path) -> None:
    frames = media_samples.encoded("H264", 60, (160, 120))

    async def call(url: str) -> None:
        async with ClientSession() as http, calling(http, url, frames) as phone:
            await phone.until(lambda: any(report["labels"] for report in phone.reports))
            await http.delete(phone.location)

    with serving(tmp_path, arguments=["--log", "json"]) as server:
        asyncio.run(call(server.url))
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    (ended,) = [line for line in lines if "session" in line]
    assert ended["explained"] > 0
    assert all({"time", "level", "from", "says"} <= line.keys() for line in lines)

"""Makes docs/clients.md: each program calls 64 times, and its row says how that went."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.clients.programs import PROGRAMS, Program, served_for
from tests.support.processes import until
from tests.support.servers.calls import session_of

pytestmark = [pytest.mark.long, pytest.mark.alone, pytest.mark.timeout(1800)]
TRIES, FRAMES = 64, 15
TABLE = ROOT / "docs" / "clients.md"
HEAD = f"""# Browsers and programs
`make test-long ARGS="-k program_table"` writes this table: each program publishes {TRIES} times by WHIP, {FRAMES}
frames each time, to a server on the same computer. A browser calls with whycam's page until {FRAMES} explained frames
have come back, and presses *stop*: its frames sent are counted before that, so that more are recorded. A row is the
newest run of its program. *Ended*: the session ended with the program, by DELETE or the end of DTLS, and not by a limit
or by silence. GStreamer's frames are counted from its state `connected` on, so that more may be recorded. A client that
is a web page (`@eyevinn/whip-web-client`) is served from the server's own origin: others are refused on purpose. ffmpeg
also publishes for a minute each way.

| program | version | codec | connected | frames sent | frames recorded | ended |
|---|---|---|---|---|---|---|
"""
ENDED = re.compile(r" ended after [\d.]+ s\. The (?:call was hung up|camera is gone)")


def rows() -> dict[str, str]:
    """The rows of the table, by the program's name."""
    text = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    return {row.split(" | ")[0].removeprefix("| "): row for row in text.splitlines() if f" of {TRIES} | " in row}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_connects_each_time(tmp_path: Path, program: Program) -> None:
    version = program.version()
    with served_for(program, tmp_path) as server:
        tried = program.publish(server, TRIES, FRAMES)
        until(lambda: server.log.read_text().count(" ended after ") >= tried.connected, 30)
        ended = len(ENDED.findall(server.log.read_text()))
    folders = list(server.recordings.iterdir())
    recorded = sum(session_of(folder)["counts"]["recorded"] for folder in folders)
    row = (
        f"| {program.name} | {version} | {program.codec} | {tried.connected} of {TRIES} | {tried.sent} | {recorded} "
        f"| {ended} of {TRIES} |"
    )
    print(row)
    known = rows() | {program.name: row}
    lines = [known[each.name] for each in PROGRAMS if each.name in known]
    TABLE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    assert (tried.connected, ended) == (TRIES, TRIES)
    assert recorded >= 0.7 * tried.sent  # GStreamer begins in the middle of a group of pictures


@pytest.mark.parametrize(
    "program", [each for each in PROGRAMS if "ffmpeg" in each.name], ids=lambda program: program.name
)
def test_ffmpeg_publishes_for_a_minute(tmp_path: Path, program: Program) -> None:
    """It answers no check during the call, and was cut off after 33 s."""
    program.version()  # skips the test where it is not installed
    with served_for(program, tmp_path) as server:
        tried = program.publish(server, 1, 60 * 30)
        until(lambda: " ended after " in server.log.read_text(), 30)
    assert tried.connected == 1
    (folder,) = server.recordings.iterdir()
    assert session_of(folder)["counts"]["recorded"] == tried.sent

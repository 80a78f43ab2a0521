"""Hooks for schemathesis (schemathesis.toml): offers, the roles of an operation, and the time to refuse.

Imported by schemathesis's process, which `tests.integration.test_openapi.ask` starts.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import schemathesis
from hypothesis import strategies
from schemathesis import Case, CheckContext, HookContext, Response, SerializationContext

from tests.support.fuzz import bent

ROLE = os.environ["WHYCAM_ROLE"]
ANSWERS = Path(os.environ["WHYCAM_ANSWERS"])
OFFER = Path(os.environ["WHYCAM_OFFER"]).read_bytes()
LATE_S = float(os.environ["WHYCAM_LATE_S"])
SESSION = os.environ["WHYCAM_SESSION"]
"""Of a call that has to continue during all requests."""
TRIES = 10
"""A slow request is slow each time; one that waited for a busy machine is not."""

offers = strategies.one_of(
    strategies.just(OFFER),
    strategies.integers(0).map(lambda seed: bent(OFFER, random.Random(seed))),
    strategies.text().map(lambda text: ("v=0\r\n" + text).encode("utf-8", "surrogatepass")),
)
schemathesis.openapi.media_type("application/sdp", offers)


@schemathesis.serializer("application/sdp")
def as_it_is(_: SerializationContext, value: object) -> bytes:
    """An offer, or any other value from schemathesis, as bytes."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.hook
def filter_case(_: HookContext, case: Case[Any]) -> bool:
    """Skip requests that would end that call, as the host may, or close the door for the other roles."""
    if (case.method, case.operation.path) == ("POST", "/api/join") and ROLE == "host":
        return not (isinstance(case.body, dict) and case.body.get("lan") is False)
    return case.method != "DELETE" or SESSION not in (case.path_parameters or {}).values()


@schemathesis.hook
def after_call(_: HookContext, case: Case[Any], response: Response) -> None:
    """Append each answer to `ANSWERS`."""
    line = {"asked": f"{case.method} {case.operation.path}", "status": response.status_code, "s": response.elapsed}
    with ANSWERS.open("a") as file:
        file.write(json.dumps(line) + "\n")


@schemathesis.check
def checks_roles(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """A role outside `x-roles` is refused, and one in it is not refused for lack of credentials."""
    roles = case.operation.definition.raw["x-roles"]
    if ROLE not in roles:
        assert 400 <= response.status_code < 500
    elif "stranger" not in roles:
        assert response.status_code != 401


@schemathesis.check
def refuses_quickly(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """A refusal takes at most `LATE_S` longer than the simplest request at the same time."""
    if response.status_code < 400 or response.elapsed < LATE_S:
        return
    url = urlsplit(response.request.url or "")
    plain = requests.Request("GET", f"{url.scheme}://{url.netloc}/nothing").prepare()
    asked: list[float] = []
    simplest: list[float] = []
    with requests.Session() as session:
        for _ in range(TRIES):
            for times, request in ((simplest, plain), (asked, response.request)):
                times.append(session.send(request, verify=response.verify).elapsed.total_seconds())
    took, base = min(asked), min(simplest)
    assert took - base < LATE_S, f"{response.elapsed:.3f} s, then {took:.3f} s at best; the simplest: {base:.3f} s"

"""What schemathesis has to know of whycam (schemathesis.toml): what an offer is, who may come in, how soon.

It is imported by schemathesis's own process, which `tests.integration.test_openapi.ask` starts.
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
"""Of a call that is to go on, whatever is asked."""
TRIES = 10
"""What is slow is slow each time; what waited for a busy machine is not."""

offers = strategies.one_of(
    strategies.just(OFFER),
    strategies.integers(0).map(lambda seed: bent(OFFER, random.Random(seed))),
    strategies.text().map(lambda text: ("v=0\r\n" + text).encode("utf-8", "surrogatepass")),
)
schemathesis.openapi.media_type("application/sdp", offers)


@schemathesis.serializer("application/sdp")
def as_it_is(_: SerializationContext, value: object) -> bytes:
    """An offer, or whatever else schemathesis puts in its place."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@schemathesis.hook
def filter_case(_: HookContext, case: Case[Any]) -> bool:
    """Leave out what would end that call: the host may."""
    return case.method != "DELETE" or SESSION not in (case.path_parameters or {}).values()


@schemathesis.hook
def after_call(_: HookContext, case: Case[Any], response: Response) -> None:
    """Note each answer."""
    line = {"asked": f"{case.method} {case.operation.path}", "status": response.status_code, "s": response.elapsed}
    with ANSWERS.open("a") as file:
        file.write(json.dumps(line) + "\n")


@schemathesis.check
def lets_in_whom_it_should(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """Nobody gets what `x-roles` does not name for them, and nobody whom it names is refused for who they are."""
    roles = case.operation.definition.raw["x-roles"]
    if ROLE not in roles:
        assert 400 <= response.status_code < 500
    elif "stranger" not in roles:
        assert response.status_code != 401


@schemathesis.check
def refuses_soon(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Whatever is asked, who is refused knows it at once, but for what the plainest answer takes just then."""
    if response.status_code < 400 or response.elapsed < LATE_S:
        return
    url = urlsplit(response.request.url or "")
    plain = requests.Request("GET", f"{url.scheme}://{url.netloc}/nothing").prepare()
    asked: list[float] = []
    plainly: list[float] = []
    with requests.Session() as session:
        for _ in range(TRIES):
            for times, request in ((plainly, plain), (asked, response.request)):
                times.append(session.send(request, verify=response.verify).elapsed.total_seconds())
    took, base = min(asked), min(plainly)
    assert took - base < LATE_S, f"{response.elapsed:.3f} s, then {took:.3f} s at best; the plainest: {base:.3f} s"

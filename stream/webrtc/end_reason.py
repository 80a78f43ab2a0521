"""Why a call ends: the sentence for the log, and for the client if the server ends the call (docs/api.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

Code: TypeAlias = Literal["too-large", "too-fast", "too-many-streams", "silent", "server-ends"]
"""Identifies the reason, so that a page can show it in its own language."""


@dataclass(frozen=True, slots=True)
class EndReason:
    """A reason as a sentence; with a code if it is sent to the client."""

    reason: str
    code: Code | None = None

    @property
    def close_message(self) -> str | None:
        """The JSON text sent before the connection closes; None: the client ended the call, or cannot be reached."""
        return None if self.code is None else json.dumps({"ended": {"code": self.code, "reason": self.reason}})


HUNG_UP = EndReason("The call was hung up.")
GONE = EndReason("The camera is gone: its page or program was closed, or its network was lost.")
BROKE = EndReason("whycam failed on a frame of this camera; the log lines above say how.")
SERVER_ENDS = EndReason("whycam was stopped on its computer. Start it there again.", "server-ends")

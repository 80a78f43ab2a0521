"""Why a call ends: what the log says, and what the client is told where it is the server that ends it (docs/api.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

Code: TypeAlias = Literal["too-large", "too-fast", "too-many-streams", "silent", "server-ends"]
"""By which a page knows the reason, whatever language it speaks."""


@dataclass(frozen=True, slots=True)
class EndReason:
    """A reason, as a sentence for a person; with a code where the client is told."""

    reason: str
    code: Code | None = None

    @property
    def close_message(self) -> str | None:
        """What the client is sent before its connection closes; None: it ended the call itself, or hears no more."""
        return None if self.code is None else json.dumps({"ended": {"code": self.code, "reason": self.reason}})


HUNG_UP = EndReason("The call was hung up.")
GONE = EndReason("The camera is gone: its page or program was closed, or its network was lost.")
BROKE = EndReason("whycam made a mistake with this picture; the lines above tell more.")
SERVER_ENDS = EndReason("whycam was ended on its computer. Start it there again.", "server-ends")

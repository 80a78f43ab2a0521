"""Whether a server records its cameras: every one, those whose person asks for it, or none."""

from __future__ import annotations

from typing import Literal, get_args

RecordingMode = Literal["on", "ask", "off"]
"""`on`: from the first frame, until its person or the host ends it; `ask`: when they begin it; `off`: never."""
RECORDING_MODES: tuple[RecordingMode, ...] = get_args(RecordingMode)

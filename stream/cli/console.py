"""Where the commands print: what was asked for, and what went wrong."""

from __future__ import annotations

from rich.console import Console

screen = Console(highlight=False, soft_wrap=True)
problems = Console(stderr=True, highlight=False, soft_wrap=True)

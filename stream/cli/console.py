"""Consoles of the commands: `screen` for results on stdout, `problems` for errors on stderr."""

from __future__ import annotations

from rich.console import Console

screen = Console(highlight=False, soft_wrap=True)
problems = Console(stderr=True, highlight=False, soft_wrap=True)

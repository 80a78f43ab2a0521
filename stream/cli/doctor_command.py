"""`whycam doctor`."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.text import Text

from whycam.stream.cli.console import screen
from whycam.stream.cli.options import ConfigOption, DeviceOption, LanPortOption, PortOption, RecordingsOption
from whycam.stream.offline.exit_code import ExitCode


def doctor(
    port: PortOption = 8080,
    recordings: RecordingsOption = Path("recordings"),
    device: DeviceOption = "auto",
    lan_port: LanPortOption = 8443,
    config: ConfigOption = None,
) -> None:
    """Check this computer: what works, what does not, and what to do."""
    from whycam.stream.cli.doctor import examine
    from whycam.stream.private_files import config_folder

    failed = 0
    for finding in examine(
        port=port,
        recordings=recordings,
        device=device,
        lan_port=lan_port,
        config=config or config_folder(),
    ):
        failed += not finding.ok
        sign = Text("–") if finding.absent else Text("✓", "green") if finding.ok else Text("✗", "red")
        screen.print(sign, Text(finding.what, "bold"), Text(finding.says))
        if not finding.ok:
            screen.print("  ", finding.advice, markup=False)
    screen.print("No problems found." if not failed else "Each ✗ needs to be fixed; the line below it says how.")
    if failed:
        raise typer.Exit(ExitCode.FAILED)

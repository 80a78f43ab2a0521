"""The command-line entry point: `whycam`, and `python -m whycam`."""

from __future__ import annotations

from whycam.export.command import export
from whycam.stream.cli.app import make_app, run

app = make_app(export)


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()

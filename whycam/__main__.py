"""The command-line entry point: `whycam`, and `python -m whycam`."""

from __future__ import annotations

from whycam.export.command import exports
from whycam.stream.cli.app import make_app, run

app = make_app(exports)


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()

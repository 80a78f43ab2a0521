"""The command-line entry point: `whycam`, and `python -m whycam`."""

from __future__ import annotations

from whycam.stream.cli.app import make_app, run
from whycam.stream.cli.verbs import Verb

app = make_app(
    Verb(
        "whycam.export.command",
        "export",
        "Make a model file that explains itself, of a classifier of your own or of VGG16.",
    )
)


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()

"""The verbs of the command by name: each one's module is imported when it is called, not for `whycam --help`."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand

HELP = {"help_option_names": ["-h", "--help"]}


class Verb(NamedTuple):
    """A verb of the command line."""

    module: str
    """Where its function is, which has its name."""
    name: str
    summary: str
    """The first paragraph of the function's docstring, as the list of verbs shows it."""


VERBS = (  # in the order of the help
    Verb(
        "whycam.stream.cli.serve",
        "serve",
        "Serve a page that explains this computer's camera live; with --lan also the cameras of phones nearby.",
    ),
    Verb(
        "whycam.stream.cli.process",
        "process",
        "Explain films and images: every frame, upright, in sync with its sound.",
    ),
    Verb(
        "whycam.stream.cli.explain",
        "explain",
        "Print the five best classes of an image, and write the image with the heat of the best one, or of --target.",
    ),
    Verb(
        "whycam.stream.cli.replay",
        "replay",
        "Draw an explained film again from its sidecar, without the model: in other colours, another layout or class.",
    ),
    Verb(
        "whycam.stream.cli.measure",
        "measure",
        "Measure, by changing images, whether a model's heatmaps show what its answers depend on: a table and a page.",
    ),
    Verb(
        "whycam.stream.cli.teach",
        "teach",
        "Learn classes of your own from a folder of pictures and films: a model file that names and explains them.",
    ),
    Verb("whycam.stream.cli.models", "models", "List the models that whycam knows, remove or rename one."),
    Verb(
        "whycam.stream.cli.doctor_command",
        "doctor",
        "Check this computer: what works, what does not, and what to do.",
    ),
)


class LateCommand(TyperCommand):
    """A verb that is imported when it is called."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(name=verb.name, help=verb.summary)
        self.verb = verb

    def load(self) -> TyperCommand:
        """The verb with its options."""
        app = typer.Typer(add_completion=False)
        app.command(self.verb.name, context_settings=HELP)(getattr(import_module(self.verb.module), self.verb.name))
        command = typer.main.get_command(app)
        assert isinstance(command, TyperCommand)
        return command

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """The context of the loaded command, which it then runs in."""
        return self.load().make_context(*args, **extra)

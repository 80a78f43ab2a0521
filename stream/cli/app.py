"""The command `whycam` with all its verbs but export's, and how it ends where something went wrong."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from whycam.stream.cli.console import problems, screen
from whycam.stream.cli.doctor_command import doctor
from whycam.stream.cli.models import models
from whycam.stream.cli.process import process
from whycam.stream.cli.replay import replay
from whycam.stream.cli.serve import serve
from whycam.stream.inference.engine import EngineDown
from whycam.stream.inference.explainer import RuntimeMissing
from whycam.stream.offline.claims import Busy
from whycam.stream.offline.exit_code import ExitCode


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        screen.print(f"whycam {version('whycam')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options that stand before a command."""


def make_app(exports: typer.Typer) -> typer.Typer:
    """The whole command; `exports` holds the verbs of `whycam export`, which this package knows nothing of."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Shows, live, what a neural network looks at.",
    )
    app.callback()(_options)
    app.add_typer(exports, name="export")
    for verb in (serve, process, replay, models, doctor):
        app.command()(verb)
    return app


def run(app: typer.Typer) -> None:
    """Run the command; what a person can mend is said in one sentence."""
    # A wrong call would end with 2, which says that a film broke off.
    usage_error: Any = typer.BadParameter.__base__
    usage_error.exit_code = ExitCode.FAILED
    try:
        app()
    except Busy as error:
        problems.print(str(error), style="red", markup=False)
        sys.exit(ExitCode.BUSY)
    except (EngineDown, RuntimeMissing, ValueError, OSError) as error:
        problems.print(str(error), style="red", markup=False)
        sys.exit(ExitCode.FAILED)

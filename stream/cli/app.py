"""The command `whycam` with all verbs except export's, and its exit codes and messages for errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from whycam.stream.cli.console import DebugOption, problems, screen, survive_any_encoding
from whycam.stream.cli.verbs import HELP, VERBS, LateCommand, Verb
from whycam.stream.offline.exit_code import ExitCode


def _options(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: DebugOption = False,  # noqa: ARG001 - its callback sets the log
) -> None:
    """Options before a command; without a command the help is printed."""
    if version:
        screen.print(f"whycam {metadata.version('whycam')}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(ExitCode.FAILED)


def make_app(export: Verb) -> TyperGroup:
    """The complete command; `export` is the verb `whycam export`, which this package must not import."""
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Shows, live, what a neural network looks at.",
        context_settings=HELP,
    )
    app.callback(invoke_without_command=True)(_options)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for verb in (*VERBS[:-1], export, VERBS[-1]):
        group.add_command(LateCommand(verb))
    return group


def files_like_options(words: Sequence[str]) -> list[str]:
    """Words that begin with a dash, as options do, and are files here."""
    return [word for word in words if word.startswith("-") and len(word) > 1 and Path(word).exists()]


def run(app: TyperGroup) -> None:
    """Run the command and exit; errors that a user can fix are printed as one sentence."""
    survive_any_encoding()
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:  # a wrong call; typer would exit with 2, which means that a film broke off
        if error.format_message():  # otherwise the help was printed
            context = getattr(error, "ctx", None)
            if context is not None:
                problems.print(context.get_usage(), markup=False)
                problems.print(f"`{context.command_path} --help` lists arguments and options.", markup=False)
            problems.print(error.format_message(), style="red", markup=False)
            for name in files_like_options(sys.argv[1:]):
                problems.print(f"There is a file {name}: write ./{name} to give it.", markup=False)
        sys.exit(ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - the last place where it can become a sentence
        sentence, code = _described(error)
        problems.print(sentence, style="red", markup=False)
        sys.exit(code)
    sys.exit(code or ExitCode.OK)


def _described(error: Exception) -> tuple[str, ExitCode]:
    """What is printed about an error, and the exit code. What is imported here takes longer than the help."""
    from whycam.stream.inference.engine import EngineDown
    from whycam.stream.inference.explainer import RuntimeMissing
    from whycam.stream.offline.results.claims import Busy
    from whycam.stream.offline.unexpected import report_unexpected

    if isinstance(error, Busy):
        return str(error), ExitCode.BUSY
    if isinstance(error, (EngineDown, RuntimeMissing, ValueError, OSError)):
        return str(error), ExitCode.FAILED
    return report_unexpected(error, "The command"), ExitCode.FAILED

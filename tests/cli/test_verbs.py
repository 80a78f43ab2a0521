"""The list of verbs, which is printed without importing them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from whycam.__main__ import app
from whycam.stream.cli.verbs import LateCommand

COMMANDS = [command for command in app.commands.values() if isinstance(command, LateCommand)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_the_list_says_of_a_verb_what_its_own_help_says_first(command: LateCommand) -> None:
    function = getattr(import_module(command.verb.module), command.verb.name)
    first = (inspect.getdoc(function) or "").split("\n\n")[0]
    assert " ".join(first.split()) == command.help
    assert command.load().name == command.name


HELP = """
import sys
from whycam.__main__ import main
sys.argv = ["whycam", "--help"]
try:
    main()
except SystemExit:
    late = {"numpy", "cv2", "av", "onnxruntime", "aiohttp", "aiortc"}
    print(*sorted(late & set(sys.modules)), file=sys.stderr)
"""


def test_help_imports_no_package_that_takes_long() -> None:
    """A limit of seconds would depend on the load; numpy alone takes as long as the whole help."""
    found = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert "serve" in found.stdout
    assert found.stderr.strip() == ""

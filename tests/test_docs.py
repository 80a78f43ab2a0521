"""README, CONTRIBUTING and docs name only files, headings, names, commands, options and make verbs that exist."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

from tests.support import ROOT
from tests.support.walls import LAYERS
from whycam.__main__ import app
from whycam.stream.cli.verbs import LateCommand

DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS_OPTIONS = {"--network"}
"""Docker's, in docs/deploy/README.md."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
PATH = re.compile(r"(?<![\w/.:-])((?:stream|models|export|web|tests|whycam|docs)/[\w./*-]*)(?::(\w+))?")
VERB = re.compile(r"^([a-z-]+):.*##", re.MULTILINE)


def options(command: Any, name: str) -> Iterator[tuple[str, list[set[str]]]]:
    """Of a command and of each of its verbs: its name, and of each option that it takes all spellings."""
    yield name, [{"--help"}, *({*each.opts, *each.secondary_opts} for each in command.params)]
    if isinstance(command, TyperGroup):
        for verb, inner in command.commands.items():
            assert isinstance(inner, LateCommand)
            yield from options(inner.load(), f"{name} {verb}")


OPTIONS = dict(options(app, "whycam"))
VERBS = set(VERB.findall((ROOT / "Makefile").read_text(encoding="utf-8")))


def problems(doc: Path, text: str) -> list[str]:
    """Each thing that `text`, which is or would be the file `doc`, names and that does not exist, in a sentence."""
    prose = FENCE.sub("", text)
    spans = [" ".join(span.split()) for span in CODE.findall(prose)]
    blocks = FENCE.findall(text)
    scripts = [line for kind, block in blocks if kind == "sh" for line in block.replace("\\\n", " ").splitlines()]
    diagrams = [block for kind, block in blocks if kind == "mermaid"]
    found = [
        *wrong_links(doc, text, CODE.sub("", prose)),
        *(sentence for code in (*spans, *scripts, *diagrams) for sentence in wrong_paths(code)),
        *(sentence for line in scripts for sentence in wrong_commands(line)),
        *(sentence for span in spans if span.startswith(("whycam ", "make ")) for sentence in wrong_commands(span)),
        *(sentence for span in spans if span.startswith("--") for sentence in wrong_options(span)),
    ]
    return [f"{doc.relative_to(ROOT)}: {sentence}" for sentence in found]


def wrong_links(doc: Path, text: str, prose: str) -> Iterator[str]:
    for _, url in LINK.findall(prose):
        if "://" in url:
            continue
        name, _, anchor = url.partition("#")
        target = (doc.parent / name).resolve() if name else doc
        if name and not target.exists():
            yield f"a link leads to {url}, there is no such file"
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8") if name else text):
            yield f"a link leads to {url}, there is no such heading"


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings: small letters, hyphens for spaces, a number from the second of a name on."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        slug = re.sub(r"[^\w -]", "", LINK.sub(r"\1", heading).strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def wrong_paths(code: str) -> Iterator[str]:
    for path, name in PATH.findall(code):
        files = list(ROOT.glob(path))
        if not files:
            yield f"there is no {path}"
        elif name and not any(defines(file, name) for file in files if file.is_file()):
            yield f"{path} does not define {name}"


def defines(file: Path, name: str) -> bool:
    pattern = rf"^\s*(?:async def|def|class) {name}\b|^{name}\b"
    return re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE) is not None


def wrong_commands(line: str) -> Iterator[str]:
    for words in commands(line):
        if Path(words[0]).name == "whycam":
            yield from wrong_call(words[1:])
        elif words[0] == "make":
            yield from wrong_verbs(words[1:])


def commands(line: str) -> Iterator[list[str]]:
    """The words of each command in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for token in lexer:
        if set(token) <= set("|&;()<>"):
            if words:
                yield words
            words = []
        else:
            words.append(token)
    if words:
        yield words


def wrong_call(words: Sequence[str]) -> Iterator[str]:
    """What is wrong with the words behind `whycam`."""
    name = "whycam"
    for word in words:
        if word.startswith("-") and word != "-":
            option = word.partition("=")[0]
            if not any(option in spellings for spellings in OPTIONS[name]):
                yield f"`{name}` has no option {option}"
        elif f"{name} {word}" in OPTIONS:
            name = f"{name} {word}"
        elif any(other.startswith(f"{name} ") for other in OPTIONS):
            yield f"`{name}` has no verb {word}"
            return


def wrong_options(span: str) -> Iterator[str]:
    """A span that begins with an option: it may be any verb's."""
    for option in re.findall(r"--[a-z][a-z0-9-]*", span):
        if not any(option in spellings for known in OPTIONS.values() for spellings in (*known, OTHERS_OPTIONS)):
            yield f"no verb of `whycam` has the option {option}"


def wrong_verbs(words: Sequence[str]) -> Iterator[str]:
    """What is wrong with the words behind `make`; `make serve` hands its ARGS to `whycam serve`."""
    for word in words:
        variable, is_set, value = word.partition("=")
        if not is_set and word not in VERBS:
            yield f"`make` has no verb {word}"
        elif variable == "ARGS" and "serve" in words:
            yield from wrong_call(["serve", *shlex.split(value)])


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.relative_to(ROOT).as_posix())
def test_what_a_doc_names_exists(doc: Path) -> None:
    assert problems(doc, doc.read_text(encoding="utf-8")) == []


def test_the_limits_of_the_check_are_those_of_the_code() -> None:
    from whycam.export.verify import agreement
    from whycam.export.verify.placement import MAX_SHIFT

    page = (ROOT / "docs" / "model.md").read_text("utf-8")
    section = page.split("## What is checked at export")[1].split("\n## ")[0]
    found = [float(line.split("|")[-2]) for line in section.splitlines() if line.startswith("| of ")]
    assert found == [
        agreement.TOLERANCE,
        agreement.MEDIAN_TOLERANCE,
        agreement.DEVIATION_TOLERANCE,
        agreement.AUTODIFF_TOLERANCE,
        agreement.SCORE_TOLERANCE,
        MAX_SHIFT,
    ]


def test_every_option_is_in_a_doc() -> None:
    text = "".join(doc.read_text(encoding="utf-8") for doc in DOCS)
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", text)) | {"--help", "--version"}
    for name, known in OPTIONS.items():
        unnamed = [each for each in known if all(one.startswith("-") for one in each) and not each & named]
        assert not unnamed, name


def test_the_layers_are_those_that_make_walls_prints() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \|", text.partition("| layer |")[2].partition("\n\n")[0], re.MULTILINE)
    layers = [[path.removesuffix("/*.py").strip("/").replace("/", ".") for path in CODE.findall(row)] for row in rows]
    assert layers == [list(layer) for layer in reversed(LAYERS)]


RIGHT = {
    "a link": "[the README](../README.md), [here](https://example.com/none.md)",
    "a link to a heading": "[limits](reliability.md#limits)",
    "a link within the file": "# The `a-b` of *it*, twice\n# The a-b of it, twice\n[it](#the-a-b-of-it-twice-1)",
    "a heading behind a comment in a script": "```sh\n# none\n```\n# some\n[it](#some)",
    "a file, a folder, a pattern": "`stream/limits.py`, `docs/`, `tests/*/test_*.py`, `https://example.com/docs/none`",
    "a name in a file": "`tests/test_docs.py:test_what_a_doc_names_exists`, `stream/inference/engine.py:Engine`",
    "a command": "```sh\nffmpeg -i a | whycam process - -o b.mp4 && .venv/bin/whycam serve \\\n  --lan  # --none\n```",
    "a verb in a group": "`whycam export vgg16 --half`, `whycam --version`",
    "an option": "`--max-disk 10GiB`",
    "make": '`make test-fast ARGS="-k overlay"`, `make serve DEVICE=gpu ARGS="--port 9000"`',
    "a block that is no script": "```json\nwhycam none `stream/none.py`\n```",
}


@pytest.mark.parametrize("case", RIGHT)
def test_what_exists_may_be_named(case: str) -> None:
    assert problems(ROOT / "docs" / "made-up.md", RIGHT[case]) == []


WRONG = {
    "a link": ("[it](none.md)", "a link leads to none.md, there is no such file"),
    "a link to what is only in another folder": ("[it](README.md)", "a link leads to README.md, there is no such file"),
    "an image": ("![it](none.jpg)", "a link leads to none.jpg, there is no such file"),
    "a link to a heading": (
        "[it](reliability.md#none)",
        "a link leads to reliability.md#none, there is no such heading",
    ),
    "a link within the file": ("# Some\n[it](#none)", "a link leads to #none, there is no such heading"),
    "a heading that comes once": ("# Some\n[it](#some-1)", "a link leads to #some-1, there is no such heading"),
    "a heading in a script": ("```sh\n# none\n```\n[it](#none)", "a link leads to #none, there is no such heading"),
    "a file": ("`stream/none.py`", "there is no stream/none.py"),
    "a file in a command": ("```sh\ncp docs/none.service /etc\n```", "there is no docs/none.service"),
    "a file in a diagram": ("```mermaid\na[stream/none.py]\n```", "there is no stream/none.py"),
    "a folder": ("`web/none/`", "there is no web/none/"),
    "a pattern": ("`tests/none*.py`", "there is no tests/none*.py"),
    "a name in a file": ("`tests/test_docs.py:test_none`", "tests/test_docs.py does not define test_none"),
    "the beginning of a name": ("`tests/test_docs.py:test_what`", "tests/test_docs.py does not define test_what"),
    "a verb": ("`whycam describe dog.jpg`", "`whycam` has no verb describe"),
    "an option": ("`whycam doctor --none`", "`whycam doctor` has no option --none"),
    "another verb's option": ("`whycam models --port 9000`", "`whycam models` has no option --port"),
    "an option behind a pipe": (
        "```sh\ncat a |\\\n.venv/bin/whycam process - --none=3\n```",
        "`whycam process` has no option --none",
    ),
    "an option without a command": ("`--none`", "no verb of `whycam` has the option --none"),
    "an option that make hands on": ('`make serve ARGS="--none 3"`', "`whycam serve` has no option --none"),
    "make": ("`make none`", "`make` has no verb none"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_exist_is_found(case: str) -> None:
    text, expected = WRONG[case]
    assert problems(ROOT / "docs" / "made-up.md", text) == [f"docs/made-up.md: {expected}"]

"""The layout of the pages: a page imports its own folder and shared/, imports form no circle, folders stay small.

The tests parse the files: imports (also dynamic ones and those of JSDoc types), workers, and what HTML loads.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support import ROOT

WEB = ROOT / "web"
MAX_MODULES = 14
"""More names than that are hard to remember."""
MAY_IMPORT = {"shared": {"locales"}, "locales": set[str]()}
"""In addition to the folder itself. Every other top folder is a page, which may import `shared`."""
PAGE_MAY_IMPORT = {"shared"}
STATIC = "/static/"

STATEMENT = r"""^\s*(?:import|export)\b[^;'"()]*?\bfrom\s*['"](?P<from>[^'"]+)|^\s*import\s*['"](?P<bare>[^'"]+)"""
CALL = r"""\bimport\s*\(\s*(?:['"](?P<call>[^'"]*)['"]\s*[,)])?"""
WORKER = (
    r"""\bnew\s+(?:Shared)?Worker\s*\(\s*(?:new\s+URL\s*\(\s*['"](?P<worker>[^'"]+)['"]\s*,\s*import\.meta\.url)?"""
)
IMPORT = re.compile(f"{STATEMENT}|{CALL}|{WORKER}", re.MULTILINE)
LOADED = re.compile(r"""<(?:script|link|img)\b[^>]*?\b(?:src|href)=["'](?P<path>[^"']*)""")


@dataclass(frozen=True, slots=True)
class Arrow:
    """A reference from a line of one file to another. Paths are relative to `web`; `target` is the resolved one."""

    source: str
    line: int
    text: str
    target: str

    def __str__(self) -> str:
        return f"web/{self.source}:{self.line}: {self.text}"


def imports(web: Path) -> Iterator[Arrow]:
    for path in sorted(web.rglob("*.js")):
        source, code = path.relative_to(web).as_posix(), path.read_text(encoding="utf-8")
        for found in IMPORT.finditer(code):
            named = next((text for text in found.groups() if text is not None), None)
            if named is None:
                target = "?"  # a computed path cannot be resolved
            elif named.startswith("."):
                target = posixpath.normpath(posixpath.join(posixpath.dirname(source), named))
            else:
                target = named
            line, text = line_of(code, found.end())
            yield Arrow(source, line, text, target)


def loads(web: Path) -> Iterator[Arrow]:
    """The files that the pages' HTML loads from `/static/`."""
    for path in sorted(web.rglob("*.html")):
        code = path.read_text(encoding="utf-8")
        for found in LOADED.finditer(code):
            line, text = line_of(code, found.end())
            yield Arrow(path.relative_to(web).as_posix(), line, text, found["path"].removeprefix(STATIC))


def line_of(code: str, at: int) -> tuple[int, str]:
    line = code.count("\n", 0, at) + 1
    return line, code.splitlines()[line - 1].strip()


def page_of(path: str) -> str:
    """The top folder of a file, '' for a file outside a folder."""
    return path.partition("/")[0] if "/" in path else ""


def problems(web: Path) -> list[str]:
    """A sentence for each broken rule, which names the line or the folder."""
    arrows = list(imports(web))
    return [
        *lost(web, [*arrows, *loads(web)]),
        *across(arrows),
        *loaded_across(list(loads(web))),
        *circle({(arrow.source, arrow.target): arrow for arrow in arrows}, "modules"),
        *circle({(folder(arrow.source), folder(arrow.target)): arrow for arrow in reversed(arrows)}, "folders"),
        *crowded(web),
    ]


def folder(path: str) -> str:
    return posixpath.dirname(path)


def lost(web: Path, arrows: Iterable[Arrow]) -> Iterator[str]:
    for arrow in arrows:
        if not (web / arrow.target).is_file():
            yield f"{arrow} should name a file of web/ by its path, found {arrow.target!r}"


def across(arrows: Iterable[Arrow]) -> Iterator[str]:
    for arrow in arrows:
        here, there = page_of(arrow.source), page_of(arrow.target)
        allowed = MAY_IMPORT.get(here, PAGE_MAY_IMPORT)
        if here != there and there not in allowed:
            yield f"{arrow} may import {' and '.join(sorted({here, *allowed}))}, not {there or 'the top folder'}"


def loaded_across(arrows: list[Arrow]) -> Iterator[str]:
    """A page's HTML loads the files of one folder, and of `shared`."""
    for html in sorted({arrow.source for arrow in arrows}):
        own = [arrow for arrow in arrows if arrow.source == html and page_of(arrow.target) not in PAGE_MAY_IMPORT]
        for arrow in own:
            if page_of(arrow.target) != page_of(own[-1].target) or page_of(arrow.target) in ("", *MAY_IMPORT):
                yield f"{arrow} may load shared and {page_of(own[-1].target)}, not {page_of(arrow.target) or 'the top'}"


def circle(arrows: Mapping[tuple[str, str], Arrow], of: str) -> Iterator[str]:
    """The first circle of imports, with the line of each."""
    targets: dict[str, list[str]] = {}
    for here, there in arrows:
        if here != there or of == "modules":
            targets.setdefault(here, []).append(there)
    done: set[str] = set()

    def path_back(place: str, path: tuple[str, ...]) -> tuple[str, ...]:
        if place in path:
            return (*path[path.index(place) :], place)
        if place in done:
            return ()
        for there in targets.get(place, ()):
            if found := path_back(there, (*path, place)):
                return found
        done.add(place)
        return ()

    for place in sorted(targets):
        if found := path_back(place, ()):
            lines = [str(arrows[here, there]) for here, there in pairwise(found)]
            yield f"{of} in a circle, {' -> '.join(found)}:\n  " + "\n  ".join(lines)
            return


def crowded(web: Path) -> Iterator[str]:
    for place in sorted({path.parent for path in web.rglob("*.js")}):
        count = len(list(place.glob("*.js")))
        name = place.relative_to(web.parent).as_posix()
        if place == web:
            yield f"{name}/ has {count} modules, should have none: each belongs to a page, or to shared/"
        elif count > MAX_MODULES:
            yield f"{name}/ has {count} modules, at most {MAX_MODULES} are allowed: split it by what a user does"


def test_the_pages_keep_the_rules() -> None:
    assert problems(WEB) == []


def test_each_file_is_used_by_another() -> None:
    """Otherwise it is dead, or referred to in a form that `imports` and `loads` do not parse."""
    named = {arrow.target for arrow in (*imports(WEB), *loads(WEB))}
    assert named == {path.relative_to(WEB).as_posix() for path in WEB.rglob("*.*") if path.suffix != ".html"}


SMALL = {
    "index.html": '<link href="/static/shared/base.css">\n<script type="module" src="/static/phone/main.js"></script>',
    "phone/main.js": "import { words } from '../shared/words.js';\nimport { call } from './call/call.js';",
    "phone/call/call.js": "/** @typedef {import('../../shared/words.js').Words} Words */\nexport function call() {}",
    "wall/main.js": "import {\n  words,\n} from '../shared/words.js';",
    "shared/words.js": "import { english } from '../locales/en.js';\nexport const words = english;",
    "shared/base.css": "",
    "locales/en.js": "export const english = {};",
}
BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "a page imports another page": (
        {"wall/main.js": "\nimport { call } from '../phone/call/call.js';"},
        "web/wall/main.js:2: import { call } from '../phone/call/call.js'; may import shared and wall, not phone",
    ),
    "over several lines": (
        {"wall/main.js": "import {\n  call,\n} from '../phone/call/call.js';"},
        "web/wall/main.js:3: } from '../phone/call/call.js'; may import",
    ),
    "for its side effects": ({"wall/main.js": "import '../phone/main.js';"}, "web/wall/main.js:1: import"),
    "dynamically": (
        {"wall/main.js": "\n\nconst { call } = await import('../phone/call/call.js');"},
        "web/wall/main.js:3: const { call } = await import",
    ),
    "re-exporting": ({"wall/main.js": "export { call } from '../phone/call/call.js';"}, "web/wall/main.js:1: export"),
    "re-exporting *": ({"wall/main.js": "export * from '../phone/call/call.js';"}, "web/wall/main.js:1: export"),
    "a type of it": (
        {"wall/main.js": "/** @typedef {import('../phone/call/call.js').Call} Call */"},
        "web/wall/main.js:1: /** @typedef",
    ),
    "its worker": (
        {"wall/main.js": "new Worker(\n  new URL('../phone/call/call.js', import.meta.url), { type: 'module' });"},
        "web/wall/main.js:2: new URL('../phone/call/call.js'",
    ),
    "a page imports a language": (
        {"wall/main.js": "import { english } from '../locales/en.js';"},
        "may import shared and wall, not locales",
    ),
    "shared imports a page": (
        {"shared/words.js": "import { call } from '../phone/call/call.js';"},
        "web/shared/words.js:1: import { call } from '../phone/call/call.js'; may import locales and shared, not phone",
    ),
    "a language imports shared": (
        {"locales/en.js": "import { a } from '../shared/other.js';", "shared/other.js": "export const a = 1;"},
        "may import locales, not shared",
    ),
    "two modules in a circle": (
        {"phone/call/call.js": "import './retry.js';", "phone/call/retry.js": "import './call.js';"},
        "modules in a circle, phone/call/call.js -> phone/call/retry.js -> phone/call/call.js:\n"
        "  web/phone/call/call.js:1: import './retry.js';\n  web/phone/call/retry.js:1: import './call.js';",
    ),
    "two folders in a circle": (
        {
            "phone/call/call.js": "\nimport '../camera/camera.js';",
            "phone/camera/camera.js": "",
            "phone/camera/file.js": "import '../call/retry.js';",
            "phone/call/retry.js": "",
        },
        "folders in a circle, phone/call -> phone/camera -> phone/call:\n"
        "  web/phone/call/call.js:2: import '../camera/camera.js';\n  web/phone/camera/file.js:1:",
    ),
    "a part imports its page's top module": (
        {"phone/call/call.js": "import '../state.js';", "phone/state.js": ""},
        "folders in a circle, phone -> phone/call -> phone:",
    ),
    "fifteen modules": (
        {f"phone/call/part{number}.js": "" for number in range(MAX_MODULES)},
        "web/phone/call/ has 15 modules, at most 14",
    ),
    "a module beside the folders": ({"main.js": ""}, "web/ has 1 modules, should have none"),
    "an import of a file that is not there": ({"wall/main.js": "import './gone.js';"}, "found 'wall/gone.js'"),
    "an import from the internet": (
        {"wall/main.js": "import 'https://cdn.example/x.js';"},
        "found 'https://cdn.example/x.js'",
    ),
    "an import by a computed name": ({"wall/main.js": "await import(`./${name}.js`);"}, "found '?'"),
    "a worker by a computed name": (
        {"wall/main.js": "new Worker(url);"},
        "wall/main.js:1: new Worker(url); should",
    ),
    "a page's HTML loads another page's style": (
        {"index.html": '<link href="/static/wall/main.js">\n' + SMALL["index.html"]},
        'web/index.html:1: <link href="/static/wall/main.js"> may load shared and phone, not wall',
    ),
    "a page's HTML loads what is not there": (
        {"index.html": '<script src="/static/main.js"></script>'},
        "should name a file of web/ by its path, found 'main.js'",
    ),
}


def write(web: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (web / name).parent.mkdir(parents=True, exist_ok=True)
        (web / name).write_text(text + "\n", encoding="utf-8")
    return web


def test_pages_that_keep_the_rules_pass(tmp_path: Path) -> None:
    assert problems(write(tmp_path / "web", SMALL)) == []


@pytest.mark.parametrize("rule", BROKEN)
def test_each_broken_rule_is_named_with_its_line(tmp_path: Path, rule: str) -> None:
    files, expected = BROKEN[rule]
    found = problems(write(tmp_path / "web", {**SMALL, **files}))
    assert any(expected in problem for problem in found), found

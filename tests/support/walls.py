"""Checks that imports, also inside functions, go only down the layers: `make walls` prints them."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.support import ROOT

LAYERS: Sequence[Sequence[str]] = (
    ("models",),
    ("stream",),  # its top modules, which all may import: limits, logs, private files
    ("stream.video",),
    ("stream.inference", "stream.webrtc", "stream.media"),
    ("stream.overlay",),
    ("stream.recording",),
    ("stream.live", "stream.report"),
    ("stream.teaching",),
    ("stream.offline", "stream.sessions"),
    ("stream.uploads", "stream.measure"),
    ("stream.server",),
    ("stream.cli",),
    ("export",),
    ("whycam",),
)
"""Lowest first. A folder may import folders of lower layers, and none of its own layer."""
ALONE: Mapping[str, frozenset[str]] = {"export": frozenset(("models", "stream.inference", "stream.media"))}
"""Folders that may import only some of the lower ones."""
WITHIN_EXPORT: Sequence[str] = ("graph", "reverse", "head", "verify", "precision", "networks", "sources", "")
"""The same inside `export`; '' is its top modules, except those in `LOW_IN_EXPORT`."""
LOW_IN_EXPORT = frozenset(("labels", "preprocess", "preprocessing", "save", "requirements"))
MAX_MODULES = 14
MAX_TEST_MODULES = 20


class Arrow(NamedTuple):
    """One import: the importing module, the imported module, and the line."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{path_of(self.importer)}:{self.line} imports {self.imported}"


def path_of(module: str) -> str:
    """A module's file, relative to the repository."""
    path = module.replace(".", "/")
    return f"{path}.py" if (ROOT / f"{path}.py").is_file() else f"{path}/__init__.py"


def modules() -> dict[str, Path]:
    """Every module of the product by its name below `whycam`, such as `stream.live.tracker`."""
    found = {}
    for folder in ("models", "export", "stream", "whycam"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not (folder == "whycam" and len(path.relative_to(ROOT).parts) > 2):  # the targets of its links
                found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


def arrows(known: Mapping[str, Path]) -> Iterator[Arrow]:
    """All imports of one module of the product by another."""
    for name, path in known.items():
        for node in _imports(path.read_text("utf-8")):
            for imported in _imported(node, known):
                if imported != name:
                    yield Arrow(name, imported, node.lineno)


@cache
def _imports(source: str) -> list[ast.Import | ast.ImportFrom]:
    return [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Import | ast.ImportFrom)]


def _imported(node: ast.Import | ast.ImportFrom, known: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif node.module:
        # A name may be a module of that package, or an object in it.
        names = [
            inner if _ours(inner := f"{node.module}.{alias.name}") in known else node.module for alias in node.names
        ]
    else:
        return
    yield from dict.fromkeys(found for name in names if (found := _ours(name)) in known)


def _ours(name: str) -> str:
    return name if name == "whycam" or name.startswith("whycam.__") else name.removeprefix("whycam.")


def folder_of(module: str, known: Mapping[str, Path]) -> str:
    """The folder that a module belongs to, as `LAYERS` names it."""
    parts = module.split(".")
    if parts[0] == "stream":
        package = known[module].name == "__init__.py"
        return ".".join(parts[:2]) if len(parts) > 2 or (package and len(parts) == 2) else "stream"
    return parts[0] if parts[0] in ("models", "export") else "whycam"


def upward(known: Mapping[str, Path]) -> list[str]:
    """The imports that do not go down, each with its line and the broken rule."""
    level = {folder: height for height, folders in enumerate(LAYERS) for folder in folders}
    wrong = []
    for arrow in arrows(known):
        source, target = (folder_of(each, known) for each in (arrow.importer, arrow.imported))
        if source == target:
            continue
        if level[target] >= level[source]:
            wrong.append(f"{arrow}: {source} may import only lower layers, and {target} is none")
        elif source in ALONE and target not in ALONE[source]:
            wrong.append(f"{arrow}: {source} may import only {', '.join(sorted(ALONE[source]))}")
        elif target == "export" and source != "whycam":
            wrong.append(f"{arrow}: only the command line may import export")
    return wrong + [str(each) for each in _upward_in_export(known)]


def _upward_in_export(known: Mapping[str, Path]) -> Iterator[str]:
    level = {folder: height for height, folder in enumerate(WITHIN_EXPORT)}

    def place(module: str) -> str:
        parts = module.split(".")
        return parts[1] if len(parts) > 2 or known[module].name == "__init__.py" else ""

    for arrow in arrows(known):
        if not (arrow.importer.startswith("export.") and arrow.imported.startswith("export.")):
            continue
        source, target = place(arrow.importer), place(arrow.imported)
        low = arrow.imported.split(".")[1] in LOW_IN_EXPORT or arrow.importer.split(".")[1] in LOW_IN_EXPORT
        if source != target and not low and level[target] >= level[source]:
            yield f"{arrow}: {source or 'export'} may not import {target or 'export'}"


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Names that import each other, directly or through others (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in edges.get(name, ()):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            place = stack.index(name)
            members = stack[place:]
            del stack[place:]
            if len(members) > 1:
                found.append(sorted(members))

    for name in edges:
        if name not in index:
            visit(name)
    return found


def module_circles(known: Mapping[str, Path]) -> list[list[str]]:
    """Circles of modules; importing a module does not count as importing its package's `__init__`."""
    edges: dict[str, set[str]] = defaultdict(set)
    for arrow in arrows(known):
        edges[arrow.importer].add(arrow.imported)
    return circles(edges)


def crowded() -> list[str]:
    """Folders with more than `MAX_MODULES` modules (`MAX_TEST_MODULES` in tests)."""
    counts: Counter[Path] = Counter()
    for folder in ("models", "export", "stream", "whycam", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            inside = path.relative_to(ROOT).parent
            linked = folder == "whycam" and len(inside.parts) > 1
            if path.name not in ("__init__.py", "conftest.py") and not linked and "node_modules" not in path.parts:
                counts[inside] += 1
    limits = {True: MAX_TEST_MODULES, False: MAX_MODULES}
    return [
        f"{folder} has {count} modules, at most {limits[folder.parts[0] == 'tests']} are allowed"
        for folder, count in sorted(counts.items())
        if count > limits[folder.parts[0] == "tests"]
    ]


def imports_between_tests() -> list[str]:
    """Test modules that import another one; shared code belongs in tests/support."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in _imports(path.read_text("utf-8")):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests."):
                names = [node.module.rpartition(".")[2], *(alias.name for alias in node.names)]
                if any(name.startswith("test_") for name in names):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} imports {node.module}")
    return wrong


def main() -> None:
    """Print the imports between folders with their number, and the broken rules."""
    known = modules()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for arrow in arrows(known):
        source, target = (folder_of(each, known) for each in (arrow.importer, arrow.imported))
        if source != target:
            counts[source][target] += 1
    for layer in reversed(LAYERS):
        for folder in layer:
            below = ", ".join(f"{name} ({count})" for name, count in counts[folder].most_common())
            print(f"{folder:17} -> {below or 'nothing'}")
    print(f"circles of modules: {module_circles(known) or 'none'}")
    for sentence in (*upward(known), *crowded(), *imports_between_tests()):
        print(sentence)


if __name__ == "__main__":
    main()

"""Parts of pages and docs that are generated from tables in the code: `make derived` writes them.

`tests/test_derived.py` checks them. Change only the table; each function here makes a file's new text from its old one.
"""

from __future__ import annotations

import base64
import re
import textwrap
from collections.abc import Callable, Mapping

from tests.support import ROOT
from tests.zoo.layers import row as layer_rows
from tests.zoo.layers.table import layers_page
from tests.zoo.row import read_rows
from tests.zoo.table import models_page
from whycam.export.reverse.dense import DENSE_RULES
from whycam.export.reverse.moves import MOVE_RULES
from whycam.export.reverse.norms import NORM_RULES
from whycam.export.reverse.pointwise import POINTWISE
from whycam.export.reverse.spatial import SPATIAL_RULES
from whycam.export.reverse.walk import BLIND
from whycam.stream.limits import LIMITS
from whycam.stream.overlay.colormaps import (
    CLASS_COLORS_ON_DARK,
    CLASS_COLORS_ON_LIGHT,
    COLORMAPS,
    DARKEST,
    PINNED_COLORS,
    colours,
)
from whycam.stream.recording.containers import MIME_TYPES

WIDTH = 112


def colormaps_script(_: str) -> str:
    """A module of the pages: the names of the colormaps, their colours, and those of pinned classes."""
    tables = []
    for name in COLORMAPS:
        lines = textwrap.wrap(base64.b64encode(colours(name).tobytes()).decode(), WIDTH)
        tables.append("\n".join([f"  {name}: ''", *(f"    + '{line}'" for line in lines)]))
    table = ",\n".join(tables)
    names = ", ".join(f"'{name}'" for name in COLORMAPS)
    pinned = ", ".join(f"'{color}'" for color in PINNED_COLORS)
    return f"""// @ts-check
/** Made by `make derived` from stream/overlay/colormaps.py: change it there. */

/** The first is the default. */
export const COLORMAPS = [{names}];

/** Red, green and blue of each colormap for the heat 0…255, as base64. @type {{Record<string, string>}} */
export const TABLES = {{
{table},
}};

/** The colours of maps that are drawn together, in the order in which the classes are pinned. */
export const PINNED = [{pinned}];
/** The brightness of a place without heat, as a fraction of such a colour's. */
export const DARKEST = {DARKEST};
"""


def class_colors(text: str) -> str:
    """The colours of classes in the style sheet of the recordings, on light and on dark ground."""
    for colors, ground in ((CLASS_COLORS_ON_DARK, "dark"), (CLASS_COLORS_ON_LIGHT, "light")):
        declared = " ".join(f"--tint-{place}: {color};" for place, color in enumerate(colors))
        text = replaced(text, rf"(/\* on {ground}, `make derived` writes them \*/ )[^\n]*", declared)
    return text


def colormaps_in_openapi(text: str) -> str:
    """The names in the schema of a view in docs/openapi.yaml."""
    return replaced(text, r"(colormap: &colormap \{enum: )\[[^]]*\]", f"[{', '.join(COLORMAPS)}]")


def colormaps_in_api(text: str) -> str:
    """The names in the table of commands in docs/api.md."""
    return replaced(text, r"(\| `colormap` \| )[^|]*(?= \|)", ", ".join(f"`{name}`" for name in COLORMAPS))


def openapi(text: str) -> str:
    """The colormaps of a view, and the MIME types of a recording's files."""
    types = ", ".join(f"{kind}: {{}}" for kind in dict.fromkeys(MIME_TYPES.values()))
    return replaced(colormaps_in_openapi(text), r"(content: )\{[^\n]*application/x-ndjson: [^\n]*", f"{{{types}}}")


def limits_in_reliability(text: str) -> str:
    """All limits with their numbers, in docs/reliability.md."""
    lines = "".join(f"- {words}\n" for words in LIMITS.words())
    return replaced(text, r"(<!-- limits: [^\n]*\n)(?:- [^\n]*\n)*(?=<!-- end of limits -->)", lines)


def tried_models(_: str) -> str:
    """docs/models.md, from the rows that `make test-models` keeps."""
    return models_page(list(read_rows().values()))


def explained_layers(_: str) -> str:
    """docs/layers.md, from the rows that `python -m tests.zoo.layers` keeps."""
    return layers_page(list(layer_rows.read_rows().values()))


def operators(text: str) -> str:
    """The operators with a rule, in docs/append-cam.md."""
    rows = (
        ("pointwise", [*POINTWISE]),
        ("dense", DENSE_RULES),
        ("over windows", SPATIAL_RULES),
        ("sums, norms and attention", NORM_RULES),
        ("moves", MOVE_RULES),
        ("without a gradient", BLIND),
    )
    lines = "".join(f"| {name} | {', '.join(f'`{each}`' for each in sorted(rules))} |\n" for name, rules in rows)
    pattern = r"(<!-- operators: [^\n]*\n)(?:\n?\|[^\n]*\n|\n)*(?=<!-- end of operators -->)"
    return replaced(text, pattern, f"\n| kind | operators |\n|---|---|\n{lines}\n")


def replaced(text: str, pattern: str, by: str) -> str:
    """`text` with `by` in place of what follows the pattern's group; raises `ValueError` unless it matches once."""
    new, count = re.subn(pattern, lambda match: match[1] + by, text)
    if count != 1:
        raise ValueError(f"{pattern} should be found once, found {count} times.")
    return new


DERIVED: Mapping[str, Callable[[str], str]] = {
    "web/shared/colormaps.js": colormaps_script,
    "web/recordings/recordings.css": class_colors,
    "docs/openapi.yaml": openapi,
    "docs/api.md": colormaps_in_api,
    "docs/reliability.md": limits_in_reliability,
    "docs/models.md": tried_models,
    "docs/layers.md": explained_layers,
    "docs/append-cam.md": operators,
}
"""By path in the repository."""


def outdated() -> list[str]:
    """The files that differ from their tables."""
    return [name for name, make in DERIVED.items() if make(_text(name)) != _text(name)]


def _text(name: str) -> str:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def main() -> None:
    """Write the outdated files and print their names."""
    for name in outdated():
        (ROOT / name).write_text(DERIVED[name](_text(name)), encoding="utf-8")
        print(f"{name} is updated.")


if __name__ == "__main__":
    main()

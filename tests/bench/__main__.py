"""`python -m tests.bench [NAME …]`: run these measurements, or all of them."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tests.bench


def main() -> None:
    names = sys.argv[1:] or sorted(m.name for m in pkgutil.iter_modules(tests.bench.__path__) if m.name != "__main__")
    sys.argv[1:] = []
    for name in names:
        module = importlib.import_module(f"tests.bench.{name}")
        print(f"\n== {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        module.main()


if __name__ == "__main__":
    main()

"""Fixtures and hooks for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two groups, browser calls and all other tests, of which one test each runs at a time (with --dist loadgroup)."""
    for item in items:
        is_call = "browser" in item.path.parts and item.get_closest_marker("alone")
        item.add_marker(pytest.mark.xdist_group("calls" if is_call else "others"))


@pytest.fixture(autouse=True, scope="session")
def without_the_users_own_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide a VGG16 exported on this computer, which would be the default model, from the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield

"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browsers in a call are one group, clients in code and browsers that look the other: one of each is in time."""
    for item in items:
        is_call = "browser" in item.path.parts and item.get_closest_marker("alone")
        item.add_marker(pytest.mark.xdist_group("calls" if is_call else "others"))


@pytest.fixture(autouse=True, scope="session")
def without_the_users_own_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A VGG16 that was exported on this computer is the default model everywhere, but not in tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield

"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def without_the_users_own_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A VGG16 that was exported on this computer is the default model everywhere, but not in tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield

"""whycam's configuration folder, and files in it that only this user may read: keys and tokens."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import platformdirs


def config_folder() -> Path:
    """The default folder of keys and tokens."""
    return platformdirs.user_config_path("whycam")


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only this user may read (0600, its folder 0700), atomically."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise

"""Errors that no part of whycam expects: a sentence for the user, and the traceback in the log."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

logger = logging.getLogger(__name__)


def report_unexpected(error: BaseException, name: str) -> str:
    """A sentence about an error while `name` was explained; `--debug` shows the traceback, which is logged."""
    where = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(where[-1].filename).name}:{where[-1].lineno}" if where else ""
    logger.debug("While %s was explained:", name, exc_info=error)
    return (
        f"{name}: whycam failed ({type(error).__name__}: {error}{place}). This is an error of whycam; please report it "
        "with this line. --debug prints more."
    )

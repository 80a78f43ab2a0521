"""One session's part in teaching: its explained frames become examples of a class while a holding lasts."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

from whycam.stream.sessions.messages import CommandError
from whycam.stream.teaching.examples import Example
from whycam.stream.teaching.teaching import TeachingError
from whycam.stream.video.jpeg import jpeg_of_rgb

if TYPE_CHECKING:
    from whycam.stream.live.heatmap_source import Answered
    from whycam.stream.sessions.classroom import Classroom

EVERY_S = 0.1
"""Between two examples."""
LONGEST_S = 15.0
"""A holding ends after this time, as when a phone vanishes whose button was held."""
QUALITY = 85


class Teacher:
    """Gives the classroom one session's pictures; `giver` says there whose they are. Runs on the event loop."""

    def __init__(self, classroom: Classroom, giver: str) -> None:
        self._classroom = classroom
        self.giver = giver
        self._class: int | None = None
        self._holding = ""
        self._began = self._last = 0.0
        self._pts: int | None = None

    def begin(self, number: int) -> None:
        """Begin a holding for the class with this number; raises `CommandError`."""
        self._classroom.check(self.giver)
        if self._classroom.count(number) is None:
            raise CommandError(f"There is no taught class {number}.", "wrong-value")
        if self._classroom.is_full(number):
            raise CommandError("This class has as many examples as it may have. Remove some of them.", "full")
        self._class, self._holding = number, secrets.token_hex(4)
        self._began, self._last, self._pts = time.monotonic(), 0.0, None

    def end(self) -> None:
        """End the holding, if there is one."""
        self._class = None

    @property
    def status(self) -> dict[str, Any] | None:
        """For a report: the class that gets examples, and how many it has."""
        count = None if self._class is None else self._classroom.count(self._class)
        return None if count is None else {"class": self._class, "examples": count}

    def saw(self, newest: Answered | None) -> None:
        """Give a picture that the model has seen, if a holding lasts and an example is due."""
        number, now = self._class, time.monotonic()
        if number is None or newest is None or newest.explanation.embedding is None:
            return
        if now - self._began > LONGEST_S or not self._classroom.may_teach(self.giver):
            self.end()
            return
        if now - self._last < EVERY_S or newest.pts == self._pts:
            return
        self._last, self._pts = now, newest.pts
        picture = jpeg_of_rgb(newest.image, QUALITY)
        vector = newest.explanation.embedding[0]
        try:
            self._classroom.add(number, Example(vector, picture, self._holding, self.giver))
        except (TeachingError, CommandError, KeyError):  # the class is full or was removed, or the model is another
            self.end()

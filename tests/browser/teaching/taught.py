"""A server's part of live teaching for one page (docs/api.md): its state, its pictures, and what reports say of it.

It learns nothing: what a test asks about is the page. Probabilities, mistakes and places are the test's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, Route

from tests.browser.reports import rewriting

FIRST = 1_000_000
SIDE = 224
STATE = r"/api/teaching"
CLASSES = r"/api/teaching/classes"
ONE_CLASS = r"/api/teaching/classes/(\d+)"
PICTURE = r"/api/teaching/examples/(\d+)(/heat)?\.jpg"
EXAMPLE = r"/api/teaching/examples/(\d+)"
CHANNELS = """
  window.commands = [];
  window.giving = null;
  const send = RTCDataChannel.prototype.send;
  RTCDataChannel.prototype.send = function (text) {
    const { teach } = JSON.parse(text);
    if (teach === undefined) return send.call(this, text);
    window.commands.push(teach);
    if (window.giving) void window.taken(window.giving.class, window.giving.examples);
    window.giving = null;
    if (teach !== null) void give(teach, window.commands.length);
  };
  async function give(number, commands) {
    const { classes } = await (await fetch('/api/teaching')).json();
    const { examples } = classes.find((one) => one.class === number);
    if (commands === window.commands.length) window.giving = { class: number, examples };
  }
  setInterval(() => {
    if (window.giving) window.giving.examples += 1;
    window.rewrite = { ...window.rewrite, teaching: window.giving };
  }, 100);
"""
"""Ten examples a second while the page holds; `taken` tells the double how many there are in the end."""


class TaughtServer:
    """Call `serve` before the page is opened."""

    def __init__(self, names: Sequence[str] = (), examples: int = 31, **state: Any) -> None:
        self.classes: list[dict[str, Any]] = [
            {
                "class": FIRST + i,
                "name": name,
                "examples": examples,
                "holdings": 2,
                "latest": [3 * i, 3 * i + 1, 3 * i + 2],
                "removable": [3 * i, 3 * i + 1, 3 * i + 2],
            }
            | {"givers": {"host": examples}}
            for i, name in enumerate(names)
        ]
        self.next_class = FIRST + len(names)
        self.changes: dict[str, Any] = {
            "possible": True,
            "says": "",
            "warning": "",
            "phones": False,
            "undo": None,
            "accuracy": None,
        }
        self.changes |= {"shows": "taught", **state}
        self.wrong: list[dict[str, Any]] = []
        self.places: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, Any]] = []
        """Each request but the state's: method, path with query, JSON."""

    @property
    def state(self) -> dict[str, Any]:
        with_examples = [each for each in self.classes if each["examples"]]
        content = json.dumps([[each["class"], each["name"], each["examples"]] for each in self.classes])
        class_set = f"{abs(hash(content)):012x}"[:12] if len(with_examples) > 1 else None
        limits = {"classes": 12, "examples": 200, "name": 40}
        return {"classes": self.classes, "class_set": class_set, "confusion": [], "limits": limits} | self.changes

    def serve(self, page: Page) -> None:
        rewriting(page)
        page.add_init_script(CHANNELS)
        page.expose_function("taken", self._taken)
        page.route(re.compile(r"/api/(teaching|classes)"), self._answer)

    def named(self, name: str) -> dict[str, Any]:
        return next(each for each in self.classes if each["name"] == name)

    def _taken(self, number: int, examples: int) -> None:
        taught = next(each for each in self.classes if each["class"] == number)
        more = examples - taught["examples"]
        taught["examples"] = examples
        taught["holdings"] += 1
        taught["latest"] = taught["removable"] = [number - FIRST + 100 * k for k in range(1, 4)]
        self.changes["undo"] = {"what": "examples", "class": taught["name"], "count": more}

    def _answer(self, route: Route) -> None:
        request = route.request
        path, query = urlsplit(request.url).path, urlsplit(request.url).query
        body = request.post_data_json if request.post_data else None
        if (request.method, path) != ("GET", STATE):
            self.asked.append((request.method, f"{path}?{query}" if query else path, body))
        if path == "/api/classes":
            route.fulfill(json=[{"class": each["class"], "label": each["name"]} for each in self.classes])
        elif picture := re.fullmatch(PICTURE, path):
            route.fulfill(body=jpeg(int(picture[1]), hot=bool(picture[2])), content_type="image/jpeg")
        elif path == f"{STATE}/wrong":
            route.fulfill(json=self.wrong)
        elif path == f"{STATE}/places":
            route.fulfill(json=self.places)
        elif path == f"{STATE}/save":
            route.fulfill(status=201, json={"name": (body or {}).get("name")})
        else:
            self._change(route, path, body or {})

    def _change(self, route: Route, path: str, body: dict[str, Any]) -> None:
        method = route.request.method
        if path == CLASSES:
            taught = {
                "class": self.next_class,
                "name": body["name"],
                "examples": 0,
                "holdings": 0,
                "latest": [],
                "removable": [],
                "givers": {},
            }
            self.classes.append(taught)
            self.next_class += 1
            return route.fulfill(status=201, json={"class": taught["class"]})
        if one := re.fullmatch(ONE_CLASS, path):
            taught = next(each for each in self.classes if each["class"] == int(one[1]))
            if method == "DELETE":
                self.classes.remove(taught)
                return route.fulfill(status=204)
            taught["name"] = body["name"]
        elif example := re.fullmatch(EXAMPLE, path):
            for taught in self.classes:
                taught["latest"] = [each for each in taught["latest"] if each != int(example[1])]
            return route.fulfill(status=204)
        elif body.get("clear"):
            self.classes.clear()
        elif body.get("undo"):
            self.changes["undo"] = None
        else:
            self.changes |= body
        return route.fulfill(json=self.state)


def jpeg(example: int, *, hot: bool) -> bytes:
    """A picture that differs from others', with heat in its corner."""
    picture: NDArray[np.uint8] = np.full((SIDE, SIDE, 3), (90 + example % 60, 120, 70 + 3 * example % 90), np.uint8)
    cv2.circle(picture, (SIDE // 2, SIDE // 2), 40 + example % 40, (200, 180, 30 + example % 200), -1)
    if hot:
        cv2.circle(picture, (40, 40), 36, (30, 140, 255), -1)
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 6), np.uint8)
    _, encoded = cv2.imencode(".jpg", picture)
    return encoded.tobytes()


def place(number: int, *, suspicious: bool) -> dict[str, Any]:
    """Heat in the middle, or if it is suspicious in a corner."""
    row, column = (0, 0) if suspicious else (3, 3)
    rows, columns = np.mgrid[0:7, 0:7]
    grid = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 4)
    border, middle = (0.71, 0.1) if suspicious else (0.12, 0.6)
    return {
        "class": number, "border": border, "middle": middle, "grid": grid.round(3).tolist(), "examples": 8,
        "suspicious": suspicious,
    }  # fmt: skip

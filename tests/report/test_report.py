"""The report on a film: the sidecar's numbers, a self-contained page, and the same contents as an image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.support.command import run
from tests.support.films import media_samples
from tests.support.models import tiny_models
from tests.support.models.engines import fast
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.media.image import read_image, write_image
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.explain import explain_film, explain_folder
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame, SidecarWriter
from whycam.stream.report.canvas import LIGHT, Raster, Svg
from whycam.stream.report.contents import Contents
from whycam.stream.report.key_frames import KEY_FRAMES
from whycam.stream.report.page import page as page_of
from whycam.stream.report.report import write_report
from whycam.stream.report.sheet import sheet as sheet_of
from whycam.stream.report.statistics import Findings
from whycam.stream.report.time_chart import POINTS, clock, draw_timechart

SIZE = (96, 64)
LABELS = ("banana", "cup & <saucer>", "Käse")
VOID = {"meta", "img"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = fast(tmp_path_factory.mktemp("models"))
    yield made
    made.close()


def sidecar(path: Path, best: Sequence[int | None], *, view: View | None = None, fit: str = "stretch") -> Path:
    """A frame for each class in `best`: 0.6 for it and 0.3 for the next one, with heat in the cell of its number."""
    settings = (view or View()).settings()
    header = {"model": "tiny", "sha256": "ab", "fit": fit, "settings": settings, "time_base": [1, 10]}
    with SidecarWriter(path, header) as writer:
        for number, first in enumerate(best):
            maps = () if first is None else tuple(drawn(c, s) for c, s in ((first, 0.6), ((first + 1) % 3, 0.3)))
            writer.write(SidecarFrame(number, 0.0, maps, view or View()))
    return path


def drawn(class_id: int, score: float) -> DrawnMap:
    grid = np.zeros((2, 2), np.uint8)
    grid.flat[class_id] = 200
    return DrawnMap(class_id, LABELS[class_id], score, grid, 1.0, 0.5)


def test_the_numbers_are_those_of_the_sidecar(tmp_path: Path) -> None:
    found = Findings.of(sidecar(tmp_path / "s.jsonl", [0, 0, 1, 1, 1, None, 0, 2]))
    # Of two classes that were best equally often, the one with the higher mean probability is first.
    assert [(c.label, c.best) for c in found.classes] == [(LABELS[1], 3), ("banana", 3), ("Käse", 1)]
    banana = found.classes[1]
    assert banana.scores.tolist() == [0.6, 0.6, 0, 0, 0, 0, 0.6, 0.3]
    assert banana.highest == 0
    assert [(r.class_id, r.first, r.count) for r in found.runs] == [
        (0, 0, 2),
        (1, 2, 3),
        (-1, 5, 1),
        (0, 6, 1),
        (2, 7, 1),
    ]
    assert [(r.class_id, r.first) for r in found.changes(2)] == [(0, 0), (1, 2)]
    assert found.seconds == pytest.approx(0.8)
    # Seven frames with heat, 100 (200 at half the scale) in the cell of the best class.
    assert found.heat == pytest.approx(np.array([[300, 300], [100, 0]]) / 7)
    assert banana.heat == pytest.approx(np.array([[100, 0], [0, 0]]))


def test_the_mean_heat_is_that_of_the_pinned_classes(tmp_path: Path) -> None:
    path = sidecar(tmp_path / "s.jsonl", [0, 0, 1], view=View(pinned=(1,)))
    assert Findings.of(path).heat == pytest.approx(np.array([[0, 100], [0, 0]]))
    changed = Findings.of(path, lambda view: View(pinned=(), opacity=view.opacity))
    assert changed.heat == pytest.approx(np.array([[200, 100], [0, 0]]) / 3)


def test_maps_of_different_sizes_have_a_mean(tmp_path: Path) -> None:
    header = {"model": "m", "settings": View().settings(), "time_base": [1, 10]}
    with SidecarWriter(tmp_path / "s.jsonl", header) as writer:
        for size in (2, 4):
            each = DrawnMap(0, "a", 0.5, np.full((size, size), 100, np.uint8), 1.0)
            writer.write(SidecarFrame(size, 0.0, (each,), View()))
    found = Findings.of(tmp_path / "s.jsonl")
    assert found.heat == pytest.approx(np.full((4, 4), 100.0))


@pytest.fixture
def explained(tmp_path: Path, engine: LocalEngine) -> Path:
    source = media_samples.write(tmp_path / "kitchen.mov", count=40, size=SIZE, turn=90)
    explain_film(source, tmp_path / "kitchen-output.mp4", ProcessJob(engine))
    return tmp_path / "kitchen-output.mp4"


class Outline(HTMLParser):
    """The tags and text of a page, and the URLs that it would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag == "img":
            assert dict(attrs)["alt"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_well_formed_and_loads_nothing(tmp_path: Path, explained: Path) -> None:
    report = Contents(explained.with_suffix(".jsonl"), explained, "kitchen.mov")
    page = Outline(page_of(report))
    assert page.open == []
    assert page.loads
    assert all(each.startswith("data:image/jpeg;base64,") for each in page.loads)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script", page_of(report))
    assert {"svg", "table", "dl", "figure", "title", "h1"} <= set(page.tags)
    for words in ("kitchen.mov", "40 frames", "red", "Mostly red in 100", "inferno, opacity 0.7", "bright spot"):
        assert words.replace(" in 100", "") in page.text


def test_names_are_escaped(tmp_path: Path, explained: Path) -> None:
    path = sidecar(tmp_path / "s.jsonl", [1, 1, 0])
    report = Contents(path, explained, "<b>evil</b> & co.mov")
    assert "<b>evil" not in page_of(report)
    assert "<saucer>" not in page_of(report)
    page = Outline(page_of(report))
    assert "<b>evil</b> & co.mov" in page.text
    assert "cup & <saucer>" in page.text
    sheet_of(report)


def test_key_frames_are_the_films_frames_at_the_changes(tmp_path: Path, explained: Path) -> None:
    shots = media_samples.read(explained)
    header = {"model": "m", "settings": View().settings(), "time_base": [1, 90_000]}
    with SidecarWriter(tmp_path / "s.jsonl", header) as writer:
        for number, shot in enumerate(shots):
            writer.write(SidecarFrame(round(shot.time * 90_000), 0.0, (drawn(number // 15, 0.5),), View()))
    report = Contents(tmp_path / "s.jsonl", explained, "kitchen.mov")
    assert [key.run.first for key in report.key_frames] == [0, 15, 30]
    for key in report.key_frames:
        x, y = media_samples.place(SIZE, key.run.first).middle
        x, y = SIZE[1] - 1 - y, x  # the film is turned
        expected = media_samples.colour_at(shots[key.run.first].frame, x, y)
        assert np.abs(key.image[y, x] - expected).max() < 30
        assert key.time == pytest.approx(key.run.first / 30, abs=0.001)


def test_a_long_film_has_few_images_and_few_points(tmp_path: Path, explained: Path) -> None:
    path = sidecar(tmp_path / "s.jsonl", [number % 2 for number in range(4000)])
    report = Contents(path, explained, "long.mov")
    html = page_of(report)
    assert html.count("<figure>") <= KEY_FRAMES + 6
    points = max(len(found.split()) for found in re.findall(r'polyline points="([^"]*)"', html))
    assert 100 < points <= POINTS
    assert len(html) < 3_000_000


@pytest.mark.parametrize("best", [[0], [None], [None, None, 0, None]])
def test_a_single_frame_and_frames_without_an_explanation_are_reported(
    tmp_path: Path, explained: Path, best: list[int | None]
) -> None:
    files = (tmp_path / "s.html", tmp_path / "s.png")
    write_report(sidecar(tmp_path / "s.jsonl", best), explained, "short.mov", files)
    assert Outline((tmp_path / "s.html").read_text(encoding="utf-8")).open == []
    assert read_image(tmp_path / "s.png").shape[1] == 1560


def test_a_sidecar_without_frames_is_an_error(tmp_path: Path, explained: Path) -> None:
    with pytest.raises(MediaError, match="contains no frame"):
        Contents(sidecar(tmp_path / "s.jsonl", []), explained, "x")


def test_the_chart_has_the_same_strokes_in_the_page_and_in_the_image(tmp_path: Path) -> None:
    found = Findings.of(sidecar(tmp_path / "s.jsonl", [0] * 25 + [1] * 15))
    svg, raster = Svg(400, 300), Raster(400, 300)
    draw_timechart(svg, found, 400, 300)
    draw_timechart(raster, found, 400, 300)
    boxes = re.findall(
        r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" fill="var\(--(c\d)\)"', svg.markup("", "")
    )
    assert [tone for *_, tone in boxes] == ["c1", "c2"]
    for x, y, width, height, tone in boxes:
        middle = raster.pixels[round(float(y) + float(height) / 2), round(float(x) + float(width) / 2)]
        assert "#" + bytes(middle).hex() == LIGHT[tone]
    banana = re.search(r'polyline points="([^"]*)" fill="none" stroke="var\(--c1\)"', svg.markup("", ""))
    assert banana is not None
    heights = [float(point.split(",")[1]) for point in banana[1].split()]
    assert heights[0] == heights[24] < heights[25]


def test_a_no_break_space_is_drawn_as_a_space() -> None:
    images = []
    for space in (" ", "\N{NO-BREAK SPACE}"):
        sheet = Raster(100, 30)
        sheet.text(5, 20, f"24{space}%", "ink", 14)
        images.append(sheet.pixels)
    with_space, with_no_break = images
    assert np.array_equal(with_space, with_no_break)


def test_times_are_formatted_as_a_clock() -> None:
    assert [clock(0), clock(59.6), clock(61, 0.1), clock(3.14, 0.1), clock(59.96, 0.1)] == [
        "0:00",
        "1:00",
        "1:01.0",
        "0:03.1",
        "1:00.0",
    ]


def test_a_folders_report_is_in_the_folder(tmp_path: Path) -> None:
    model = tiny_models.bright_spot(tmp_path / "bright.onnx")
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(4):
        write_image(folder / f"{number}.jpg", media_samples.spot(SIZE, number))
    media_samples.write(tmp_path / "a.mov", count=5, size=SIZE)
    write_image(tmp_path / "dog.jpg", media_samples.spot(SIZE))
    done = run("process", "frames", "a.mov", "dog.jpg", "--report", "--model", model, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "frames-output").iterdir()}
    assert {"report.html", "report.png", "predictions.jsonl", "result-0004.jpg"} <= names
    assert (tmp_path / "a-output.html").exists()
    assert read_image(tmp_path / "a-output.png").shape[1] == 1560
    assert not (tmp_path / "dog-output.html").exists()


@pytest.mark.parametrize("layout", ["side-by-side", "grid", "heatmap"])
def test_every_layout_has_a_report(tmp_path: Path, engine: LocalEngine, layout: str) -> None:
    source = media_samples.write(tmp_path / "kitchen.mov", count=6, size=SIZE)
    look = Look(layout=layout, fit="crop")  # type: ignore[arg-type]
    explain_film(source, tmp_path / "out.mp4", ProcessJob(engine, look))
    report = Contents(tmp_path / "out.jsonl", tmp_path / "out.mp4", "kitchen.mov")
    assert report.proportions() == (64, 64)
    sheet_of(report)


def test_a_folder_of_images_is_reported(tmp_path: Path, engine: LocalEngine) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(6):
        write_image(
            folder / f"{number}.jpg",
            media_samples.spot(SIZE, number, colour=media_samples.RED if number < 3 else media_samples.GREEN),
        )
    explain_folder(folder, tmp_path / "out", ProcessJob(engine))
    report = Contents(tmp_path / "out" / "predictions.jsonl", tmp_path / "out", "frames")
    assert [key.found.label for key in report.key_frames] == ["red", "green"]
    assert np.array_equal(report.key_frames[1].image, read_image(tmp_path / "out" / "result-0004.jpg"))

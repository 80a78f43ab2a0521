"""Heatmaps follow the object through every frame seen since, and are dropped when it cannot be followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from tests.support.films import media_samples
from tests.support.films.moving_spot import HeldEngine, Watched, encoded, moving_spot, pixels
from tests.support.models import tiny_models
from tests.support.models.engines import fast
from whycam.models.contract import Fitting
from whycam.stream.inference.preprocess import Fit
from whycam.stream.live.tracker import FINER, MAX_STEPS, HeatTracker
from whycam.stream.overlay.heatmap import DrawnMap
from whycam.stream.overlay.painter import Painter
from whycam.stream.overlay.view import View
from whycam.stream.recording.sidecar import SidecarFrame, SidecarWriter, read_sidecar
from whycam.stream.recording.writer import RecordingStatus
from whycam.stream.video.codec import Decoder, EncodedFrame
from whycam.stream.video.encoder import Encoder
from whycam.stream.video.planes import Bytes

CELLS = 7
LANDSCAPE, PORTRAIT = (320, 240), (240, 320)


def view_of(photograph: str, size: tuple[int, int], left: float, top: float) -> Bytes:
    """An image (H, W, 3) of a part of a photograph, at this distance in pixels from its corner."""
    seen = np.array([[1, 0, left], [0, 1, top]], np.float32)
    whole = getattr(skimage.data, photograph)()
    if whole.ndim == 2:
        whole = np.repeat(whole[..., None], 3, axis=2)
    return np.asarray(cv2.warpAffine(whole, seen, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.uint8)


def shot(
    photograph: str = "astronaut",
    size: tuple[int, int] = LANDSCAPE,
    *,
    left: float = 100,
    top: float = 60,
    pts: int = 0,
) -> av.VideoFrame:
    return media_samples.frame(view_of(photograph, size, left, top), pts)


def tracker(kind: Fitting = "stretch") -> HeatTracker:
    return HeatTracker(Fit(kind, (32, 32)), (CELLS, CELLS))


def hot(column: float = 3, row: float = 3) -> DrawnMap:
    """A map with a hot region around this cell."""
    y, x = np.mgrid[:CELLS, :CELLS]
    grid = 255 * np.exp(-((x - column) ** 2 + (y - row) ** 2) / 2)
    return DrawnMap(0, "cup", 0.5, np.rint(grid).astype(np.uint8), 1.0)


def middle(drawn: DrawnMap) -> NDArray[np.float64]:
    """The centre of the heat, as shares of the frame's width and height."""
    heat = drawn.grid.astype(float)
    y, x = (np.arange(n) + 0.5 for n in heat.shape)
    rows, columns = heat.shape
    means: NDArray[np.float64] = np.array([heat.sum(0) @ x / columns, heat.sum(1) @ y / rows]) / heat.sum()
    return means


def test_on_a_still_picture_a_map_stays_and_is_finer() -> None:
    tracks, drawn = tracker(), hot(2, 4)
    tracks.see(shot())
    tracks.mark(0)
    for _ in range(30):
        assert tracks.see(shot())
    (carried,) = tracks.carry(0, [drawn])
    assert carried.grid.shape == (FINER * CELLS, FINER * CELLS)
    enlarged = cv2.resize(drawn.grid, (FINER * CELLS, FINER * CELLS), interpolation=cv2.INTER_CUBIC)
    assert np.abs(carried.grid.astype(int) - enlarged).max() <= 8
    assert (carried.class_id, carried.label, carried.score) == (drawn.class_id, drawn.label, drawn.score)
    assert (carried.evidence, carried.scale) == (drawn.evidence, drawn.scale)


@pytest.mark.parametrize("size", [LANDSCAPE, PORTRAIT])
@pytest.mark.parametrize("step", [(6, 0), (0, 4), (-5, 3)])
def test_a_shifted_photograph_moves_its_map(size: tuple[int, int], step: tuple[int, int]) -> None:
    tracks, drawn = tracker(), hot()
    tracks.see(shot(size=size))
    tracks.mark(0)
    for number in range(1, 9):
        # The camera moves in one direction, the image content in the other.
        assert tracks.see(shot(size=size, left=100 - number * step[0], top=60 - number * step[1]))
    (carried,) = tracks.carry(0, [drawn])
    moved = (middle(carried) - middle(drawn)) * size
    assert moved == pytest.approx(np.array(step) * 8, abs=4)


def test_the_answer_to_an_older_frame_is_carried_through_all_frames_since() -> None:
    tracks, drawn = tracker(), hot()
    for number in range(9):
        tracks.see(shot(left=100 - 6 * number))
        if number in (0, 4):
            tracks.mark(number)
    moved = [float((middle(tracks.carry(pts, [drawn])[0]) - middle(drawn))[0]) * LANDSCAPE[0] for pts in (0, 4)]
    assert moved == pytest.approx([48, 24], abs=4)


def test_frames_left_out_in_between_make_no_difference() -> None:
    tracks, drawn = tracker(), hot()
    tracks.see(shot())
    tracks.mark(0)
    for number in (3, 4, 8):
        assert tracks.see(shot(left=100 - 5 * number))
    moved = middle(tracks.carry(0, [drawn])[0]) - middle(drawn)
    assert moved[0] * LANDSCAPE[0] == pytest.approx(40, abs=4)


def test_an_object_that_comes_nearer_has_a_larger_map() -> None:
    whole, tracks, drawn = skimage.data.astronaut(), tracker(), hot()
    for number in range(7):
        cut = 8 * number
        near = cv2.resize(whole[cut : 512 - cut, cut : 512 - cut], (320, 320), interpolation=cv2.INTER_AREA)
        tracks.see(media_samples.frame(np.asarray(near, np.uint8)))
        if number == 0:
            tracks.mark(0)
    (carried,) = tracks.carry(0, [drawn])
    grown = (carried.grid > 128).mean() / (drawn.grid > 128).mean()
    assert grown == pytest.approx((512 / (512 - 96)) ** 2, rel=0.25)
    assert middle(carried) == pytest.approx(middle(drawn), abs=0.03)


def test_new_content_at_an_edge_gets_the_heat_of_that_edge() -> None:
    tracks, edge = tracker(), DrawnMap(0, "", 0.0, np.zeros((CELLS, CELLS), np.uint8), 1.0)
    edge.grid[:, 0] = 200
    tracks.see(shot())
    tracks.mark(0)
    for number in range(1, 13):
        tracks.see(shot(left=100 - 8 * number))
    (carried,) = tracks.carry(0, [edge])
    assert carried.grid[2:-2, :5].min() > 150
    assert carried.grid[2:-2, -5:].max() < 30


@pytest.mark.parametrize("following", ["coffee", "chelsea", "rocket", "page", "gravel"])
def test_a_cut_loses_the_maps_for_good(following: str) -> None:
    tracks = tracker()
    for _ in range(3):
        tracks.see(shot("astronaut"))
    tracks.mark(0)
    assert tracks.carry(0, [hot()])
    cut = shot(following, left=20, top=0)
    assert not tracks.see(cut)
    assert tracks.carry(0, [hot()]) == ()
    assert tracks.see(shot(following, left=22, top=0))
    assert tracks.carry(0, [hot()]) == ()
    tracks.mark(1)
    assert tracks.see(shot(following, left=24, top=0))
    assert tracks.carry(0, [hot()]) == ()
    assert tracks.carry(1, [hot()])


def test_a_quick_pan_with_noise_is_no_cut() -> None:
    tracks, random = tracker(), np.random.default_rng(0)
    for number in range(5):
        rgb = view_of("coffee", LANDSCAPE, 190 - 40 * number, 60) + random.normal(0, 30, (*LANDSCAPE[::-1], 3))
        assert tracks.see(media_samples.frame(np.clip(rgb, 0, 255).astype(np.uint8)))
        if number == 0:
            tracks.mark(0)
    assert tracks.carry(0, [hot()])


def test_a_change_of_brightness_is_no_cut() -> None:
    tracks = tracker()
    bright = view_of("astronaut", LANDSCAPE, 100, 60)
    tracks.see(media_samples.frame(bright))
    tracks.mark(0)
    for light in (0.4, 1.0, 0.15, 0.8):
        assert tracks.see(media_samples.frame((bright * light).astype(np.uint8)))
    assert tracks.carry(0, [hot()])


@pytest.mark.parametrize("level", [0, 12, 128])
def test_the_noise_behind_a_covered_lens_is_no_cut(level: int) -> None:
    tracks, random = tracker(), np.random.default_rng(level)
    tracks.see(shot(size=LANDSCAPE))
    for number in range(10):
        noise = random.normal(level, 12, (*LANDSCAPE[::-1], 3))
        same = tracks.see(media_samples.frame(np.clip(noise, 0, 255).astype(np.uint8)))
        if number:
            assert same
        else:
            tracks.mark(0)
    assert tracks.carry(0, [hot()])


def test_a_rotated_phone_drops_the_maps() -> None:
    tracks = tracker()
    tracks.see(shot(size=LANDSCAPE))
    tracks.mark(0)
    assert not tracks.see(shot(size=PORTRAIT))
    assert tracks.carry(0, [hot()]) == ()
    tracks.mark(1)
    for number in range(1, 7):
        assert tracks.see(shot(size=PORTRAIT, left=100 - 6 * number))
    moved = middle(tracks.carry(1, [hot()])[0]) - middle(hot())
    assert moved[0] * PORTRAIT[0] == pytest.approx(36, abs=4)


def test_where_the_network_sees_only_the_middle_only_the_middles_motion_counts() -> None:
    """A portrait frame with a static top and bottom."""
    tracks, drawn = tracker("crop"), hot()
    still = view_of("astronaut", (160, 400), 100, 60)
    for number in range(7):
        rgb = still.copy()
        rgb[120:280] = view_of("coffee", (160, 160), 100 - 4 * number, 100)
        tracks.see(media_samples.frame(rgb))
        if number == 0:
            tracks.mark(0)
    moved = (middle(tracks.carry(0, [drawn])[0]) - middle(drawn)) * 160
    assert moved == pytest.approx([24, 0], abs=4)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 40), (40, 1), (3, 5), (16, 9), (2, 300), (1601, 37)])
@pytest.mark.parametrize("kind", ["stretch", "crop"])
def test_frames_of_any_size_are_accepted(size: tuple[int, int], kind: Fitting) -> None:
    tracks = tracker(kind)
    grey = media_samples.frame(np.full((size[1], size[0], 3), 96, np.uint8))
    tracks.see(grey)
    tracks.mark(0)
    tracks.see(grey)
    (carried,) = tracks.carry(0, [hot()])
    assert middle(carried) == pytest.approx(middle(hot()), abs=0.01)


def test_displacements_are_kept_for_the_last_two_marked_frames_only() -> None:
    tracks = tracker()
    for pts in range(20):
        tracks.see(shot(left=100 - pts))
        tracks.mark(pts)
    assert tracks.carry(17, [hot()]) == ()
    assert tracks.carry(18, [hot()])
    assert tracks.carry(19, [hot()])


def test_motion_is_estimated_only_where_maps_are_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    search = cv2.DISOpticalFlow.create

    class Counted:
        def __init__(self, preset: int) -> None:
            self._real = search(preset)

        def calc(self, *images: Any) -> Any:
            searched.append(len(searched))
            return self._real.calc(*images)

    monkeypatch.setattr(cv2.DISOpticalFlow, "create", Counted)
    tracks = tracker()
    for pts in range(20):  # each frame gets its own maps
        tracks.see(shot(left=100 - pts))
        tracks.mark(pts)
    assert not searched
    tracks.see(shot(left=80))
    tracks.carry(18, [hot()])
    assert len(searched) == 2
    tracks.carry(19, [hot()])  # the same two steps
    assert len(searched) == 2
    for number in range(21, 41):
        tracks.see(shot(left=100 - number))
    assert len(searched) == 2 + 20 - MAX_STEPS


def spot_of(number: int) -> tuple[float, float]:
    """The spot's centre in frame `number`, as shares of width and height."""
    return (275 - 190 + 8 * number) / 320, (225 - 120) / 240


def test_a_late_answer_is_drawn_where_the_spot_is_now(tmp_path: Path) -> None:
    engine = HeldEngine(tmp_path)
    frames = encoded(moving_spot(16))
    watched = Watched(engine)
    try:
        for frame in frames[:8]:
            assert watched.show(frame).state == "none"
        engine.answer()  # to frame 0
        for number in range(8, 16):
            painted = watched.show(frames[number])
            assert painted.state == "carried"
            assert painted.age_ms == pytest.approx(number * media_samples.STEP / 90)
            red = next(m for m in painted.maps if m.label == "red")
            assert red.grid.shape == (2 * tiny_models.CELLS, 2 * tiny_models.CELLS)
            assert middle(red) == pytest.approx(spot_of(number), abs=0.06)
    finally:
        watched.stream.close()
        engine.close()


def test_the_heat_of_another_scene_is_never_drawn(tmp_path: Path) -> None:
    engine = HeldEngine(tmp_path)
    other = [view_of("coffee", LANDSCAPE, 100 + n, 60) for n in range(8)]
    frames = encoded([*moving_spot(6), *other])
    watched = Watched(engine)
    try:
        for frame in frames[:2]:
            watched.show(frame)
        engine.answer()
        states = [watched.show(frame).state for frame in frames[2:8]]
        assert states == ["carried"] * 4 + ["none"] * 2  # two of the new scene
        engine.answer()  # to frame 2, of the old scene
        painted = watched.show(frames[8])
        assert (painted.state, painted.maps, painted.age_ms) == ("none", (), None)
        engine.answer()  # to frame 8
        painted = watched.show(frames[9])
        assert painted.state == "carried"
        assert painted.age_ms == pytest.approx(media_samples.STEP / 90)
        assert watched.stream.counts.passed == 2 + 2 + 1
    finally:
        watched.stream.close()
        engine.close()


def test_a_rotated_phone_shows_no_heat_until_the_next_answer(tmp_path: Path) -> None:
    engine = HeldEngine(tmp_path)
    scene = moving_spot(4)
    turned = [np.ascontiguousarray(rgb.transpose(1, 0, 2)) for rgb in scene]
    frames = encoded([*scene, *turned])
    watched = Watched(engine)
    try:
        watched.show(frames[0])
        engine.answer()
        states = [watched.show(frame).state for frame in frames[1:6]]
        assert states == ["carried"] * 3 + ["none"] * 2
        engine.answer()
        watched.show(frames[6])
        engine.answer()
        assert watched.show(frames[7]).state == "carried"
    finally:
        watched.stream.close()
        engine.close()


def test_a_frames_own_map_is_drawn_as_the_model_returned_it(tmp_path: Path) -> None:
    engine = fast(tmp_path)
    watched = Watched(engine)
    fit = Fit("stretch", (tiny_models.SIZE, tiny_models.SIZE))
    decoder = Decoder("H264")
    try:
        for frame in encoded(moving_spot(6)):
            painted = watched.show(frame)
            assert (painted.state, painted.age_ms) == ("exact", 0)
            (picture,) = decoder.decode(frame)
            own = engine.explain(fit.image(picture)[None], [painted.maps[0].class_id]).result()
            assert np.array_equal(painted.maps[0].grid, np.rint(255 * own.heatmaps[0, 0]).astype(np.uint8))
    finally:
        watched.stream.close()
        engine.close()


def test_the_scale_is_steady_unless_the_view_has_the_own_scale(tmp_path: Path) -> None:
    engine = fast(tmp_path)
    watched = Watched(engine)
    two = view_of("gravel", LANDSCAPE, 100, 60)
    two[20:100, 20:100] = media_samples.RED
    two[140:220, 220:300] = (60, 120, 60)
    frames = encoded([media_samples.spot(LANDSCAPE, colour=media_samples.GREEN), *[two] * 6])
    try:
        assert watched.stream.view.scale == "steady"
        steady = [watched.show(frame) for frame in frames[:4]]
        assert {p.view.scale for p in steady} == {"steady"}
        for painted in steady:
            red, green = (next(m for m in painted.maps if m.label == label) for label in ("red", "green"))
            if painted is not steady[0]:  # a cut followed it and reset the scale
                assert red.scale == pytest.approx(1, abs=0.01)
                assert green.scale == pytest.approx(green.evidence / red.evidence, rel=0.02)
                assert 0.1 < green.scale < 0.5
        watched.stream.view = View(scale="own")
        own = [watched.show(frame) for frame in frames[4:]]
        assert {m.scale for p in own for m in p.maps} == {1.0}
    finally:
        watched.stream.close()
        engine.close()


def test_with_the_policy_every_maps_have_their_own_scale(tmp_path: Path) -> None:
    engine = fast(tmp_path)
    watched = Watched(engine, "every", View(scale="steady"))
    try:
        for frame in encoded(moving_spot(4)):
            painted = watched.show(frame)
            assert painted.view.scale == "own"
            assert {m.scale for m in painted.maps} == {1.0}
            assert {m.grid.shape for m in painted.maps} == {(tiny_models.CELLS, tiny_models.CELLS)}
    finally:
        watched.stream.close()
        engine.close()


def test_carried_and_smoothed_maps_give_the_same_pixels_from_the_sidecar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = HeldEngine(tmp_path)
    frames = encoded(moving_spot(12))
    drawn: list[bytes] = []
    encode = Encoder.encode

    def noting(self: Encoder, picture: av.VideoFrame, *, keyframe: bool = False) -> EncodedFrame | None:
        drawn.append(pixels(picture))
        return encode(self, picture, keyframe=keyframe)

    monkeypatch.setattr(Encoder, "encode", noting)
    lines: list[SidecarFrame] = []
    watched = Watched(engine)
    watched.stream.recording = Lines(lines)  # type: ignore[assignment]
    try:
        for number, frame in enumerate(frames):
            watched.show(frame)
            if number in (2, 7):
                engine.answer()
    finally:
        watched.stream.close()
        engine.close()
    header = {"model": "bright spot", "sha256": "", "score": "probability", "fit": "stretch", "time_base": [1, 90_000]}
    with SidecarWriter(tmp_path / "predictions.jsonl", header) as sidecar:
        for line in lines:
            sidecar.write(line)
    _, found = read_sidecar(tmp_path / "predictions.jsonl")
    painter, decoder = Painter(Fit("stretch", (tiny_models.SIZE, tiny_models.SIZE))), Decoder("H264")
    for frame, line, expected in zip(frames, found, drawn, strict=True):
        (picture,) = decoder.decode(frame)
        painter.paint(picture, line.maps, line.view)
        assert pixels(picture) == expected
        if line.maps:
            assert {m.grid.shape for m in line.maps} == {(2 * tiny_models.CELLS, 2 * tiny_models.CELLS)}
            assert line.view.scale == "steady"
    assert len({line.maps[0].grid.tobytes() for line in lines if line.maps}) > 5


class Lines:
    """Collects the sidecar lines that a recording would write."""

    def __init__(self, lines: list[SidecarFrame]) -> None:
        self._lines = lines
        self.status = RecordingStatus("on")

    def camera(self, frame: EncodedFrame) -> None:
        pass

    def explained(self, frame: EncodedFrame, line: SidecarFrame) -> None:
        self._lines.append(line)

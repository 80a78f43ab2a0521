"""A film drawn again from its sidecar without a model: the same settings give the same pixels."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.support.command import run
from tests.support.films import media_samples
from tests.support.films.moving_spot import HeldEngine, Watched, encoded, moving_spot
from tests.support.models import tiny_models
from tests.support.models.engines import fast
from whycam.models.contract import Fitting
from whycam.stream.inference.engine import LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.live.pipeline import LiveStream, Painted
from whycam.stream.media.film_writer import FilmWriter
from whycam.stream.media.image import read_image, write_image
from whycam.stream.media.image_writer import FolderWriter
from whycam.stream.media.losses import MediaError
from whycam.stream.offline.assignment import do_assignment
from whycam.stream.offline.explain import explain_film, explain_folder, explain_recording
from whycam.stream.offline.pipeline import ProcessJob
from whycam.stream.offline.replay import Changes, replay_once
from whycam.stream.offline.targets import TargetError
from whycam.stream.overlay.layouts import LAYOUTS
from whycam.stream.overlay.renderer import Look
from whycam.stream.overlay.styles import usual_view
from whycam.stream.overlay.view import View
from whycam.stream.recording.containers import CONTAINERS
from whycam.stream.recording.sidecar import SidecarError, SidecarFrame, about_model, read_sidecar
from whycam.stream.recording.writer import Recording
from whycam.stream.video.codec import EncodedFrame
from whycam.stream.video.encoder import Encoder

SIZE = (96, 64)
COUNT = 12
ABOUT = {"model": "tiny", "fit": "stretch", "settings": View().settings()}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    made = LocalEngine(Explainer(tiny_models.model(tmp_path_factory.mktemp("models") / "tiny.onnx"), threads=1))
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return media_samples.write(tmp_path / "kitchen.mov", count=COUNT, size=SIZE, turn=90, sound="aac")


def pixels(frame: av.VideoFrame) -> bytes:
    if frame.format.name == "rgb24":
        return frame.to_ndarray().tobytes()
    return b"".join(plane.tobytes() for plane in media_samples.pixels(frame))


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The pixels of every frame passed to a writer or a live encoder, before encoding."""
    kept: list[bytes] = []

    def noting(then: Callable[..., object]) -> Callable[..., object]:
        def write(self: object, frame: av.VideoFrame, **options: object) -> object:
            kept.append(pixels(frame))
            return then(self, frame, **options)

        return write

    for owner, name in ((FilmWriter, "write"), (FolderWriter, "write"), (Encoder, "encode")):
        monkeypatch.setattr(owner, name, noting(getattr(owner, name)))
    return kept


def taken(painted: list[bytes]) -> list[bytes]:
    found = list(painted)
    painted.clear()
    return found


LOOKS = [
    Look(),
    Look(View(opacity=0.3, colormap="turbo", pinned=(1, 7))),
    Look(top=3, legend=True),
    Look(sure=0.9, fit="crop"),
    Look(label=False),
    *(Look(layout=layout) for layout in LAYOUTS[1:]),
    *(Look(usual_view("book", (), None, None), style="book", layout=layout, label=False) for layout in LAYOUTS),
]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.style} {look.layout} {look.top} {look.label}")
@pytest.mark.parametrize("every", [1, 5])
def test_the_same_settings_give_the_same_pixels(
    tmp_path: Path, source: Path, engine: LocalEngine, painted: list[bytes], look: Look, every: int
) -> None:
    explained = explain_film(source, tmp_path / "out.mp4", ProcessJob(engine, look, every))
    assert explained.sidecar is not None
    first = taken(painted)
    done = replay_once(explained.sidecar, source, None, Changes())
    assert len(first) == COUNT
    assert taken(painted) == first
    assert done.explained.output == tmp_path / "kitchen-replay.mp4"
    assert media_samples.times(done.explained.output) == media_samples.times(source)
    assert media_samples.sound(done.explained.output) == pytest.approx(media_samples.sound(source), abs=0.03)
    assert (done.unknown, done.without) == (0, 0)


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_other_settings_give_the_pixels_that_the_model_would_have_given(
    tmp_path: Path, source: Path, painted: list[bytes], fit: Fitting
) -> None:
    engine = LocalEngine(Explainer(tiny_models.model(tmp_path / "tiny.onnx", fit=fit), threads=1))
    explained = explain_film(source, tmp_path / "out.mp4", ProcessJob(engine))
    assert explained.sidecar is not None
    second = next(read_sidecar(explained.sidecar)[1]).maps[1].class_id
    other = Look(View((second,), 0.4, "viridis"), layout="side-by-side", legend=True, label=True)
    explain_film(source, tmp_path / "other.mp4", ProcessJob(engine, other))
    engine.close()
    expected = taken(painted)[COUNT:]
    looks = {"layout": "side-by-side", "legend": True}
    replay_once(explained.sidecar, source, tmp_path / "r.mp4", Changes(looks, (str(second),), 0.4, "viridis"))
    assert taken(painted) == expected


def test_a_class_that_is_not_stored_everywhere_has_no_heat_there(
    tmp_path: Path, source: Path, engine: LocalEngine, painted: list[bytes]
) -> None:
    explained = explain_film(source, tmp_path / "out.mp4", ProcessJob(engine))
    assert explained.sidecar is not None
    lines = explained.sidecar.read_text().splitlines()
    line = json.loads(lines[4])
    for key in ("classes", "labels", "scores", "heatmaps"):
        line[key] = line[key][1:]
    best = json.loads(lines[4])["classes"][0]
    lines[4] = json.dumps(line)
    explained.sidecar.write_text("\n".join(lines) + "\n")
    first = taken(painted)
    done = replay_once(explained.sidecar, source, None, Changes(targets=(str(best),)))
    again = taken(painted)
    known = [best in json.loads(line)["classes"] for line in lines[1:]]
    assert done.without == known.count(False) > 0
    assert done.targets.endswith(f"({best})")
    same = [a == b for a, b in zip(first, again, strict=True)]
    assert not same[3]
    with pytest.raises(TargetError, match="The sidecar has no class 'banana'"):
        replay_once(explained.sidecar, source, tmp_path / "r.mp4", Changes(targets=("banana",)))


def test_a_folder_is_drawn_again(tmp_path: Path, engine: LocalEngine, painted: list[bytes]) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(5):
        write_image(folder / f"{number}.jpg", media_samples.spot(SIZE, number))
    explain_folder(folder, tmp_path / "out", ProcessJob(engine))
    first = taken(painted)
    done = replay_once(tmp_path / "out", folder, None, Changes())
    assert taken(painted) == first
    assert done.explained.output == tmp_path / "frames-replay"
    ours, theirs = (read_image(where / "result-0003.jpg") for where in (tmp_path / "out", tmp_path / "frames-replay"))
    assert np.array_equal(ours, theirs)


# Live recordings.


class Live:
    """A recorded live stream."""

    def __init__(self, engine: LocalEngine, folder: Path, view: View, policy: Any = "every") -> None:
        folder.mkdir(parents=True)
        contract = engine.contract
        about = {**about_model(contract, engine.sha256), "fit": contract.fit, "settings": view.settings()}
        self.recording = Recording(folder, about, lambda _: None, min_free=0)
        self.watched = Watched(engine, policy, view)
        self.stream.recording = self.recording

    @property
    def stream(self) -> LiveStream:
        return self.watched.stream

    def show(self, frames: Sequence[EncodedFrame]) -> list[Painted]:
        return [self.watched.show(frame) for frame in frames]

    def close(self) -> None:
        self.stream.close()
        self.recording.close()


def test_live_offline_and_replay_give_the_same_pixels(tmp_path: Path, painted: list[bytes]) -> None:
    """The same decoded frames, all of them explained, give the same painted planes on all three paths."""
    engine = fast(tmp_path)
    frames = encoded(moving_spot(14))
    taken(painted)
    folder = tmp_path / "recordings" / "2026-11-22_21-03-55_1f3a9c"
    live = Live(engine, folder, View(scale="own"))
    live.show(frames)
    live.close()
    seen = taken(painted)
    assert len(seen) == 14
    assert seen[3] != seen[4]
    for given in (folder, folder / "camera-000.mp4"):
        explain = explain_recording if given.is_dir() else explain_film
        explained = explain(given, tmp_path / "offline.mp4", ProcessJob(engine))
        assert explained.frames == 14
        assert taken(painted) == seen
    engine.close()
    for given in (folder, folder / "camera-000.mp4"):
        replay_once(folder / "predictions.jsonl", given, tmp_path / "replay.mp4", Changes(), overwrite=True)
        assert taken(painted) == seen


def test_a_live_recording_with_carried_maps_and_changing_settings_is_drawn_again(
    tmp_path: Path, painted: list[bytes]
) -> None:
    engine = HeldEngine(tmp_path)
    frames = encoded(moving_spot(16))
    taken(painted)
    folder = tmp_path / "recordings" / "one"
    live = Live(engine, folder, View(scale="steady"), "newest")
    shown: list[Painted] = []
    for number, frame in enumerate(frames):
        if number == 6:
            live.stream.view = View((1,), 0.9, "viridis", "steady")
        if number == 11:
            live.stream.view = replace(live.stream.view, pinned=(), opacity=0.4)
        shown += live.show([frame])
        if number in (2, 8):
            engine.answer()
    live.close()
    engine.close()
    seen = taken(painted)
    assert {"none", "carried"} <= {each.state for each in shown}
    done = replay_once(folder / "predictions.jsonl", folder, None, Changes())
    assert taken(painted) == seen
    assert done.explained.output == folder.with_name("one-replay.mp4")
    replay_once(folder / "predictions.jsonl", folder, tmp_path / "jet.mp4", Changes(colormap="jet"))
    other = taken(painted)
    # No place is green, so there is no heat while green is pinned.
    hot = [bool(line.maps) and not line.view.pinned for line in read_sidecar(folder / "predictions.jsonl")[1]]
    assert [a != b for a, b in zip(other, seen, strict=True)] == hot
    assert 4 < sum(hot) < 16


def recorded_segments(folder: Path) -> tuple[list[EncodedFrame], list[EncodedFrame]]:
    """Record a camera that changes its size; returns the small and the large frames."""
    folder.mkdir(parents=True)
    recording = Recording(folder, ABOUT, lambda _: None, min_free=0)
    small = media_samples.encoded("H264", 10, (64, 48), first=5000)
    large = media_samples.encoded("H264", 10, (128, 96), first=small[-1].pts + 3000)
    for frame in (*small, *large):
        recording.camera(frame)
        recording.explained(frame, SidecarFrame(frame.pts, None, (), View()))
    recording.close()
    return small, large


def test_all_files_of_a_recording_become_one_film(tmp_path: Path, engine: LocalEngine) -> None:
    folder = tmp_path / "recordings" / "two"
    small, large = recorded_segments(folder)
    assert {path.name for path in folder.iterdir()} >= {"camera-000.mp4", "camera-001.mp4"}
    explained = explain_recording(folder, tmp_path / "out.mp4", ProcessJob(engine))
    assert media_samples.times(explained.output) == [frame.pts - small[0].pts for frame in (*small, *large)]
    assert {(s.frame.width, s.frame.height) for s in media_samples.read(explained.output)} == {(64, 48)}
    done = replay_once(folder / "predictions.jsonl", folder / "camera-001.mp4", None, Changes())
    assert done.explained.frames == 10
    assert done.explained.output == folder / "camera-001-replay.mp4"
    assert {s.frame.width for s in media_samples.read(done.explained.output)} == {128}
    (folder / "session.json").write_text("{")
    with pytest.raises(MediaError, match=r"session\.json cannot be read"):
        explain_recording(folder, tmp_path / "out.mp4", ProcessJob(engine))


def test_frames_that_were_not_explained_live_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "recordings" / "three"
    folder.mkdir(parents=True)
    recording = Recording(folder, ABOUT, lambda _: None, min_free=0)
    frames = media_samples.encoded("H264", 10, (64, 48))
    for number, frame in enumerate(frames):
        recording.camera(frame)
        if number not in (3, 4, 8):
            recording.explained(frame, SidecarFrame(frame.pts, None, (), View()))
    recording.close()
    done = replay_once(folder / "predictions.jsonl", folder, tmp_path / "out.mp4", Changes())
    assert (done.explained.frames, done.unknown) == (7, 3)
    assert media_samples.times(tmp_path / "out.mp4") == [f.pts for n, f in enumerate(frames) if n not in (3, 4, 8)]


@pytest.mark.parametrize("codec", ["VP8"])
def test_webm_with_times_in_milliseconds_is_matched(tmp_path: Path, codec: Any) -> None:
    folder = tmp_path / "recordings" / "four"
    folder.mkdir(parents=True)
    recording = Recording(folder, ABOUT, lambda _: None, min_free=0)
    frames = media_samples.encoded(codec, 10, (64, 48))
    for frame in frames:
        recording.camera(frame)
        recording.explained(frame, SidecarFrame(frame.pts, None, (), View()))
    recording.close()
    for given in (folder, folder / f"camera-000{CONTAINERS[codec].suffix}"):
        done = replay_once(folder / "predictions.jsonl", given, tmp_path / "out.mp4", Changes(), overwrite=True)
        assert (done.explained.frames, done.unknown) == (10, 0)


def test_a_frozen_frame_is_frozen_again(tmp_path: Path, painted: list[bytes]) -> None:
    engine = fast(tmp_path)
    frames = encoded(moving_spot(14))
    taken(painted)
    folder = tmp_path / "recordings" / "five"
    live = Live(engine, folder, View(scale="own"), "every")
    for number, frame in enumerate(frames):
        if number in (4, 9):
            live.stream.freeze(number == 4)
        if number == 7:
            live.stream.view = View(opacity=0.2, scale="own")  # a frozen frame can be drawn with other settings
        live.show([frame])
    live.close()
    engine.close()
    seen = taken(painted)
    assert seen[4] == seen[5] == seen[6] != seen[7] == seen[8] != seen[9]
    for given in (folder, folder / "camera-000.mp4"):
        done = replay_once(folder / "predictions.jsonl", given, tmp_path / "out.mp4", Changes(), overwrite=True)
        assert taken(painted) == seen
        assert media_samples.times(done.explained.output) == [frame.pts for frame in frames]


def test_covered_evidence_is_covered_again_and_the_label_says_the_same(tmp_path: Path, painted: list[bytes]) -> None:
    engine = fast(tmp_path)
    frames = encoded(moving_spot(14), 9000)  # ten a second; the occlusion request is sent once a second
    taken(painted)
    folder = tmp_path / "recordings" / "seven"
    live = Live(engine, folder, View(occlude=True))
    for frame in frames:
        live.show([frame])
        time.sleep(0.03)  # for the answer about the covered image
    live.close()
    engine.close()
    seen = taken(painted)
    lines = list(read_sidecar(folder / "predictions.jsonl")[1])
    assert any(line.hidden is not None for line in lines)
    replay_once(folder / "predictions.jsonl", folder, None, Changes())
    assert taken(painted) == seen


def test_a_frame_frozen_before_the_recording_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "recordings" / "six"
    folder.mkdir(parents=True)
    recording = Recording(folder, ABOUT, lambda _: None, min_free=0)
    frames = media_samples.encoded("H264", 10, (64, 48), first=90_000)
    for number, frame in enumerate(frames):
        recording.camera(frame)
        frozen = 45_000 if number < 4 else None
        recording.explained(frame, SidecarFrame(frame.pts, None, (), View(), frozen))
    recording.close()
    done = replay_once(folder / "predictions.jsonl", folder, tmp_path / "out.mp4", Changes())
    assert (done.explained.frames, done.unknown) == (6, 4)


# Refused inputs.


def test_another_film_and_an_existing_result_are_refused(tmp_path: Path, source: Path, engine: LocalEngine) -> None:
    explained = explain_film(source, tmp_path / "out.mp4", ProcessJob(engine))
    assert explained.sidecar is not None
    other = media_samples.write(tmp_path / "other.mkv", count=9, size=SIZE, pts=[9000 * (n + 50) for n in range(9)])
    with pytest.raises(MediaError, match="it is 96 x 64, and the explained one was 64 x 96"):
        replay_once(explained.sidecar, other, tmp_path / "r.mp4", Changes())
    assert not (tmp_path / "r.mp4").exists()
    same = media_samples.write(tmp_path / "same.mp4", count=COUNT, size=SIZE)
    with pytest.raises(MediaError, match="is the film itself"):
        replay_once(explained.sidecar, same, same, Changes(), overwrite=True)
    replay_once(explained.sidecar, source, tmp_path / "r.mp4", Changes())
    with pytest.raises(MediaError, match="already exists"):
        replay_once(explained.sidecar, source, tmp_path / "r.mp4", Changes())
    with pytest.raises(ValueError, match="no colormap 'pink'"):
        replay_once(explained.sidecar, source, tmp_path / "r2.mp4", Changes(colormap="pink"))  # type: ignore[arg-type]
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob("*.journal"))


@pytest.mark.parametrize("is_old", [False, True], ids=["with the film's fingerprint", "of an earlier version"])
@pytest.mark.parametrize(
    ("count", "first", "is_film", "words"),
    [
        (COUNT, 40, False, "begins with another image"),
        (3 * COUNT, 0, True, "has 36 frames, and 12 were explained"),
        (COUNT // 2, 0, True, "has 6 frames, and 12 were explained"),
    ],
    ids=["another image", "longer", "shorter"],
)
def test_another_film_of_the_same_size_is_refused(
    tmp_path: Path, engine: LocalEngine, is_old: bool, count: int, first: int, is_film: bool, words: str
) -> None:
    film = media_samples.write(tmp_path / "kitchen.mov", count=COUNT, size=SIZE)
    explained = explain_film(film, tmp_path / "out.mp4", ProcessJob(engine))
    assert explained.sidecar is not None
    if is_old:
        header, *lines = explained.sidecar.read_text().splitlines()
        old = {key: value for key, value in json.loads(header).items() if key != "film"}
        explained.sidecar.write_text("\n".join([json.dumps(old), *lines]) + "\n")
    other = media_samples.write(tmp_path / "other.mov", count=count, size=SIZE)
    if first:
        with av.open(tmp_path / "other.mov", "w") as file:
            video = file.add_stream("libx264", 30)
            video.width, video.height = SIZE
            for number in range(count):
                picture = media_samples.frame(255 - media_samples.spot(SIZE, number), number * media_samples.STEP)
                file.mux(video.encode(picture))
            file.mux(video.encode(None))
    if is_old and not is_film:
        pytest.skip("an earlier version's sidecar says nothing of the film's images")
    with pytest.raises(MediaError, match=f"other.mov is not what .* describes: it {words.removeprefix('it ')}"):
        replay_once(explained.sidecar, other, None, Changes())
    assert not list(tmp_path.glob("other-replay*"))
    assert replay_once(explained.sidecar, film, None, Changes()).explained.frames == COUNT


def test_a_copy_of_the_film_in_another_coding_is_drawn(tmp_path: Path, engine: LocalEngine) -> None:
    film = media_samples.write(tmp_path / "kitchen.mov", count=COUNT, size=SIZE)
    sidecar = explain_film(film, tmp_path / "out.mp4", ProcessJob(engine)).sidecar
    assert sidecar is not None
    copy = media_samples.write(tmp_path / "kitchen.mp4", count=COUNT, size=SIZE, codec="libx265")
    assert replay_once(sidecar, copy, tmp_path / "r.mp4", Changes()).explained.frames == COUNT


def test_an_assignments_folder_is_drawn_again(tmp_path: Path, engine: LocalEngine, painted: list[bytes]) -> None:
    film = media_samples.write(tmp_path / "kitchen.mov", count=30, size=SIZE, sound="aac")
    made = do_assignment(film, tmp_path / "hand-in", ProcessJob(engine))
    taken(painted)
    replayed = replay_once(tmp_path / "hand-in", film, tmp_path / "r.mp4", Changes(colormap="jet"))
    assert replayed.explained.frames == made.frames == 25
    assert replayed.unknown == 0
    assert media_samples.times(tmp_path / "r.mp4") == media_samples.times(tmp_path / "hand-in" / "kitchen-output.mp4")


def test_a_folder_with_several_sidecars_needs_one_of_them(tmp_path: Path, source: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}-output.jsonl").write_text('{"whycam": 1}\n')
    with pytest.raises(SidecarError, match=r"has several sidecars: a-output\.jsonl, b-output\.jsonl"):
        replay_once(tmp_path, source, tmp_path / "r.mp4", Changes())


def test_a_file_that_is_no_sidecar_is_refused(tmp_path: Path, source: Path) -> None:
    (tmp_path / "folder").mkdir()
    for given, words in (
        (tmp_path / "none.jsonl", "There is no .*none.jsonl"),
        (tmp_path / "folder", "There is no .*predictions.jsonl"),
        (source, "is not a sidecar"),
    ):
        with pytest.raises(SidecarError, match=words):
            replay_once(given, source, tmp_path / "r.mp4", Changes())


def test_an_old_sidecar_without_newer_keys_is_drawn(
    tmp_path: Path, source: Path, engine: LocalEngine, painted: list[bytes]
) -> None:
    explained = explain_film(source, tmp_path / "out.mp4", ProcessJob(engine))
    assert explained.sidecar is not None
    first = taken(painted)
    header, *lines = explained.sidecar.read_text().splitlines()
    old = {k: v for k, v in json.loads(header).items() if k not in ("size", "top", "sure", "label", "legend", "every")}
    explained.sidecar.write_text("\n".join([json.dumps(old), *lines]) + "\n")
    replay_once(explained.sidecar, source, None, Changes())
    assert taken(painted) == first


def test_the_command_needs_no_model(tmp_path: Path, source: Path, engine: LocalEngine) -> None:
    """The film is drawn even if onnxruntime cannot be imported."""
    explain_film(source, tmp_path / "kitchen-output.mp4", ProcessJob(engine))
    (tmp_path / "onnxruntime.py").write_text("raise AssertionError('the model is not needed')")
    arguments = ["kitchen-output.jsonl", "kitchen.mov", "--colormap", "viridis", "--layout", "side-by-side", "--report"]
    done = run("replay", *arguments, folder=tmp_path, fresh=True)
    assert done.returncode == 0, done.stderr
    assert f"{COUNT} frames" in done.stdout
    assert {shot.frame.width for shot in media_samples.read(tmp_path / "kitchen-replay.mp4")} == {2 * SIZE[1]}
    assert (tmp_path / "kitchen-replay.html").stat().st_size > 5000
    assert run("replay", *arguments, folder=tmp_path).returncode == 1
    assert (
        run("process", "kitchen.mov", "-o", "x.mp4", folder=tmp_path, fresh=True).returncode == 1
    )  # proves that the import fails

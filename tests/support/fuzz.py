"""Fuzzing: gives random mutants of valid data to a target in a child process, which may raise its documented errors.

`fuzz("sidecar", seeds, seconds, chance)` counts the results. A mutant that raises another error, kills the process,
takes longer than ten seconds or more than a gibibyte is kept in a file and reported.
`python -m tests.support.fuzz TARGET` is the process: it reads mutants from standard input and answers each with a line.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av

from tests.support import ROOT
from whycam.models.contract import ContractError
from whycam.stream.inference.engine import EngineDown, LocalEngine
from whycam.stream.inference.explainer import Explainer
from whycam.stream.inference.known_classes import KnownClasses
from whycam.stream.media.film_reader import open_film, read_film
from whycam.stream.media.film_writer import FilmWriter
from whycam.stream.media.image import ImageError, exif_of, open_image, read_image, write_image
from whycam.stream.media.losses import MediaError
from whycam.stream.overlay.view import View
from whycam.stream.recording.repair import repair_all
from whycam.stream.recording.sidecar import SidecarError, read_sidecar
from whycam.stream.sessions.messages import CommandError, parse_command

LATE_S = 10.0
MAX_MIB = 1024
INTERESTING = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"-1",
    b"9" * 30,
    b"\\u0000",
    b"NaN",
    b"[",
    b"{",
    b'"',
)


def bent(good: bytes, chance: random.Random) -> bytes:
    """The data with one to five random mutations."""
    data = bytearray(good)
    for _ in range(chance.randint(1, 5)):
        place = chance.randrange(len(data) + 1)
        length = min(chance.choice([1, 1, 2, 4, 8, 64, 1024]), len(data) - place)
        match chance.randrange(7):
            case 0 if length:
                data[place] ^= 1 << chance.randrange(8)
            case 1 if length:
                data[place : place + length] = chance.randbytes(length)
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = chance.choice(INTERESTING)
            case 4 if length:
                word = chance.choice(INTERESTING)[:length]
                data[place : place + len(word)] = word
            case 5 if chance.random() < 0.1:
                opening, closing = chance.choice([(b"[", b"]"), (b'{"":', b"}")])
                depth = chance.choice([100, 400, 900, 10_000])  # Python's parser and writer stop at about a thousand
                data[place:place] = opening * depth + b"0" + closing * depth
            case 5:
                start = chance.randrange(len(data) + 1)
                data[place:place] = data[start : start + length]
            case _ if chance.random() < 0.3:
                del data[place:]
    return bytes(data)


def keep(target: str, mutant: bytes) -> Path:
    """Write a mutant that caused a fault to a file, so that it can be tried again."""
    path = Path(tempfile.gettempdir()) / f"fuzz-{target}-{hashlib.sha256(mutant).hexdigest()[:12]}"
    path.write_bytes(mutant)
    return path


@dataclass
class Outcome:
    """The results of fuzzing one target."""

    target: str
    mutants: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    """The file of one mutant by kind of fault."""
    slowest_s: float = 0.0

    def __str__(self) -> str:
        answers = ", ".join(f"{count} {what}" for what, count in self.answers.most_common())
        faults = self.faults or "no fault"
        return f"{self.target}: {self.mutants} mutants ({answers}), the slowest {self.slowest_s:.2f} s; {faults}"


class Child:
    """The process that runs the target."""

    def __init__(self, target: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fuzz", target],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def try_one(self, mutant: bytes) -> str:
        """Its answer to a mutant; if it ended, how."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(len(mutant).to_bytes(4, "big") + mutant)
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], LATE_S)[0]:
            return f"FAULT took more than {LATE_S:.0f} s"
        line = self._process.stdout.readline().decode().strip()
        return line or f"FAULT ended with {self._process.wait()}"

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def fuzz(target: str, seeds: Sequence[bytes], seconds: float, chance: random.Random) -> Outcome:
    """Mutate the seeds for `seconds`, and give them to the target."""
    outcome, child = Outcome(target), Child(target)
    for good in seeds:
        answer = child.try_one(good)
        assert answer == "taken", f"{target} does not accept a valid seed: {answer}"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        mutant = bent(chance.choice(seeds), chance)
        start = time.monotonic()
        answer = child.try_one(mutant)
        outcome.slowest_s = max(outcome.slowest_s, time.monotonic() - start)
        outcome.mutants += 1
        outcome.answers[answer] += 1
        if answer.startswith("FAULT"):
            outcome.faults.setdefault(answer, str(keep(target, mutant)))
            child.end()
            child = Child(target)
    child.end()
    return outcome


def mutants_of_each(target: str, seeds: Sequence[bytes], count: int, chance: random.Random) -> Outcome:
    """Give `count` mutants of each seed to the target."""
    outcome, child = Outcome(target), Child(target)
    for good in seeds:
        assert (answer := child.try_one(good)) == "taken", f"{target} does not accept a valid seed: {answer}"
        for _ in range(count):
            mutant = bent(good, chance)
            answer = child.try_one(mutant)
            outcome.mutants += 1
            outcome.answers[answer] += 1
            if answer.startswith("FAULT"):
                outcome.faults.setdefault(answer, str(keep(target, mutant)))
                child.end()
                child = Child(target)
    child.end()
    return outcome


CLASSES = KnownClasses([f"class {n}" for n in range(1000)])


def _command(data: bytes, _: Path) -> None:
    parse_command(data.decode("utf-8", "replace"), View(), CLASSES, "tiny")


def _sidecar(data: bytes, folder: Path) -> None:
    path = folder / "predictions.jsonl"
    path.write_bytes(data)
    _, frames = read_sidecar(path)
    for _ in frames:
        pass


def _note(data: bytes, folder: Path) -> None:
    """Two recordings that a crash cut off, one with an arbitrary note: that may be left unchanged, not the other."""
    recording, other = (folder / f"2026-11-22_21-0{number}-55_1f3a9c" for number in range(2))
    for each in (recording, other):
        each.mkdir(exist_ok=True)
    (recording / "session.json").write_bytes(data)
    (recording / "predictions.jsonl").write_bytes(data)
    (other / "session.json").write_text('{"state": "recording", "camera": [], "explained": []}')
    (other / "predictions.jsonl").write_bytes(b"")
    repair_all(folder)
    assert '"ended"' in (other / "session.json").read_text(), "another recording was not repaired"


def _film(data: bytes, folder: Path) -> None:
    path = folder / "film"
    path.write_bytes(data)
    with open_film(path) as film:
        for _ in read_film(film):
            pass


def _copy(data: bytes, folder: Path) -> None:
    """A film read and written, with its sound."""
    path = folder / "film"
    path.write_bytes(data)
    with open_film(path) as film:
        writer = FilmWriter(folder / "copy.mp4", film)
        try:
            for item in read_film(film):
                writer.write(item) if isinstance(item, av.VideoFrame) else writer.write_sound(item)
            writer.close()
        except BaseException:
            writer.discard()
            raise


def _exif(data: bytes, folder: Path) -> None:
    """A photograph read upright, and written with its EXIF."""
    path = folder / "photograph.jpg"
    path.write_bytes(data)
    image = open_image(path)
    write_image(folder / "copy.jpg", image.rgb, exif_of(path) or b"")


def _picture(data: bytes, folder: Path) -> None:
    path = folder / "picture"
    path.write_bytes(data)
    read_image(path)


def _model(data: bytes, folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(data)
    explainer = Explainer(path, threads=1)
    height, width = explainer.contract.input_size
    assert height * width <= 1 << 20, "the model's input is too large for this test"
    LocalEngine(explainer).close()


TARGETS: dict[str, tuple[Callable[[bytes, Path], None], type[Exception] | tuple[type[Exception], ...]]] = {
    "command": (_command, CommandError),
    "sidecar": (_sidecar, SidecarError),
    "note": (_note, ()),
    "film": (_film, MediaError),
    "picture": (_picture, ImageError),
    "copy": (_copy, MediaError),
    "exif": (_exif, ImageError),
    "model": (_model, (ContractError, EngineDown)),
}


def main(name: str) -> None:
    target, promised = TARGETS[name]
    answers = sys.stdout
    sys.stdout = sys.stderr
    print("ready", file=answers, flush=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as place:
        while length := sys.stdin.buffer.read(4):
            mutant = sys.stdin.buffer.read(int.from_bytes(length, "big"))
            try:
                target(mutant, Path(place))
                said = "taken"
            except promised:
                said = "refused"
            except Exception as error:  # noqa: BLE001 - the fault that fuzzing looks for
                where = traceback.extract_tb(error.__traceback__)[-1]
                said = (
                    f"FAULT {type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {str(error)[:80]!r}"
                )
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > MAX_MIB << 10:
                said = f"FAULT took more than {MAX_MIB} MiB"
            print(json.dumps(said)[1:-1], file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

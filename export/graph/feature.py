"""A feature map: where its channels, its cells and its further tokens are."""

from __future__ import annotations

from typing import NamedTuple

POOLS = ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")
CHANNELS_FIRST = frozenset(("BatchNormalization", "Conv", "ConvTranspose", "PRelu", *POOLS))
"""Operators whose channels are their second axis by definition."""


class Flattened(NamedTuple):
    """The layout of the flattened feature map: (cells, channels), or (channels, cells), in row-major order."""

    cells: int
    """The number of cells after pooling; 1 after a global pooling."""
    channels_last: bool


class Feature(NamedTuple):
    """A feature map: [N, channels, height, width], [N, height, width, channels], or [N, tokens, channels]."""

    tensor: str
    channels: int
    height: int
    width: int
    channels_last: bool
    flattened: Flattened | None = None
    """How it enters the first dense layer; None for an inner layer."""
    skip: int = 0
    """Tokens before those of the grid: a class token, registers."""

"""Images made in code, deterministic by seed, for checks without photographs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHAPES = 12


def scenes(count: int, height: int, width: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """RGB images (count, height, width, 3): shaded, striped ellipses and boxes on a gradient, with noise."""
    random = np.random.default_rng(seed)
    return np.stack([_scene(random, height, width) for _ in range(count)])


def _scene(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    down, right = np.mgrid[0:height, 0:width] / max(height, width)
    corner, slope = random.uniform(60, 200, 3), random.uniform(-80, 80, (2, 3))
    image = corner + down[..., None] * slope[0] + right[..., None] * slope[1]  # (height, width, 3)
    for _ in range(SHAPES):
        turn = random.uniform(0, np.pi)
        y, x = down - random.uniform(0, 1), right - random.uniform(0, 1)
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        u, v = u / random.uniform(0.05, 0.3), v / random.uniform(0.05, 0.3)  # −1…1 inside the shape
        inside = (u**2 + v**2 < 1) if random.random() < 0.6 else (np.abs(u) < 1) & (np.abs(v) < 1)
        stripes = 1 + random.uniform(0, 0.5) * np.sign(np.sin(random.uniform(2, 30) * u))
        light = (1 - 0.35 * (u + v)) * stripes
        colour = random.uniform(20, 235, 3)
        image = np.where(inside[..., None], light[..., None] * colour, image)
    grain = random.normal(0, random.uniform(0, 8), image.shape)
    levels: NDArray[np.uint8] = np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)
    return levels

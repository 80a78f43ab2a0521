"""What networks expect of an image, as their frameworks have it; needs no package that may be missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Like = Literal["imagenet", "torch", "keras-tf", "keras-caffe", "teachable-machine", "plain", "levels"]
Three = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What the network expects: (levels · scale − mean) / std for levels 0…255, red first unless `bgr`."""

    mean: Three = (0.485, 0.456, 0.406)
    std: Three = (0.229, 0.224, 0.225)
    scale: float = 1 / 255
    bgr: bool = False

    def apply(self, images: NDArray[np.uint8], channels: int = 3) -> NDArray[np.float32]:
        """What a network with 3 channels, or with 1 for grey, gets for RGB images (N, H, W, 3): (N, H, W, channels)."""
        ready = (images * self.scale - np.array(self.mean)) / np.array(self.std)
        if channels == 1:
            red, green, blue = np.moveaxis(ready, -1, 0)
            ready = (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]  # ITU-R BT.601
        elif self.bgr:
            ready = ready[..., ::-1]
        return np.asarray(ready, np.float32)

    def __str__(self) -> str:
        order = "blue first" if self.bgr else "red first"
        return f"(level · {self.scale:.6g} − {self.mean}) / {self.std}, {order}"


_HALF = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PREPROCESSING: dict[Like, Preprocessing] = {
    "imagenet": Preprocessing(),
    "torch": Preprocessing(),
    "keras-tf": _HALF,
    "teachable-machine": _HALF,
    "keras-caffe": Preprocessing((123.68, 116.779, 103.939), (1, 1, 1), 1, bgr=True),
    "plain": Preprocessing((0, 0, 0), (1, 1, 1)),
    "levels": Preprocessing((0, 0, 0), (1, 1, 1), 1),
}
"""As the frameworks call theirs; mean and std are in the order red, green, blue."""
LIKES: tuple[Like, ...] = get_args(Like)


def preprocessing_of(
    like: Like | None, mean: Three | None, std: Three | None, scale: float | None, *, bgr: bool
) -> Preprocessing | None:
    """What the options say; None if they say nothing. Raises `ValueError` if they say two things."""
    if like is not None and (mean or std or scale):
        raise ValueError("--like and --mean, --std or --scale say the same. Give one of them.")
    if like is None and not (mean or std or scale or bgr):
        return None
    if std is not None and not all(std):
        raise ValueError(f"--std divides, so no number of it can be 0: {std}.")
    base = (
        PREPROCESSING[like]
        if like
        else Preprocessing((0, 0, 0), (1, 1, 1))
        if mean or std or scale
        else Preprocessing()
    )
    return Preprocessing(mean or base.mean, std or base.std, scale or base.scale, bgr or base.bgr)

"""Small PyTorch networks with the structure of known ones; random weights by a fixed seed."""

from __future__ import annotations

from typing import Any

SEED = 0


def alexnet_like(width: int = 16, classes: int = 5) -> Any:
    """Convolutions, a flattened map of 4x4 cells, and two dense layers, for images of 64x64."""
    from torch import nn

    return _seeded(
        lambda: nn.Sequential(
            *(nn.Conv2d(3, width, 5, stride=2, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(), nn.Linear(32 * width, 4 * width), nn.ReLU()),
            *(nn.Dropout(), nn.Linear(4 * width, classes)),
        )
    )


def vgg_like(width: int = 8, classes: int = 5) -> Any:
    """Pairs of 3x3 convolutions with a pooling behind each, and three dense layers, for images of 64x64."""
    from torch import nn

    def pair(into: int, out: int) -> list[Any]:
        first, second = nn.Conv2d(into, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        return [first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True), nn.MaxPool2d(2)]

    return _seeded(
        lambda: nn.Sequential(
            *(*pair(3, width), *pair(width, 2 * width), *pair(2 * width, 4 * width)),
            *(nn.AdaptiveAvgPool2d((4, 4)), nn.Flatten()),
            *(nn.Linear(64 * width, 4 * width), nn.ReLU(inplace=True), nn.Dropout()),
            *(nn.Linear(4 * width, 4 * width), nn.ReLU(inplace=True), nn.Linear(4 * width, classes)),
        )
    )


def resnet_like(width: int = 8, classes: int = 5, end: Any = None) -> Any:
    """Residual blocks with batch normalization, a global average and a dense layer; `end` may follow."""
    import torch
    from torch import nn

    class Residual(nn.Module):  # type: ignore[misc, unused-ignore]
        """Two convolutions beside a 1x1 one, at half the resolution."""

        def __init__(self, into: int, out: int) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(into, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
            self.second = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
            self.beside = nn.Sequential(nn.Conv2d(into, out, 1, 2, bias=False), nn.BatchNorm2d(out))

        def forward(self, images: Any) -> Any:
            return torch.relu(self.second(self.first(images)) + self.beside(images))

    blocks = ((3, width), (width, 2 * width), (2 * width, 4 * width))
    return _seeded(
        lambda: nn.Sequential(
            *(Residual(into, out) for into, out in blocks),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes)),
            *([] if end is None else [end]),
        )
    )


def _seeded(build: Any) -> Any:
    import torch

    torch.manual_seed(SEED)
    network = build()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # as after training: not the identity
            torch.nn.init.uniform_(layer.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(layer.running_var, 0.3, 1.5)
    return network.eval()

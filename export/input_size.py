"""The height and width of a network's input, if they are left open."""

from __future__ import annotations

from onnx import ModelProto


def size_of(text: str | None) -> tuple[int, int] | None:
    """Height and width, written HxW; raises `ValueError`."""
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit() and 0 < int(height) <= 4096 and 0 < int(width) <= 4096):
        raise ValueError(f"A size is written HxW, such as 224x224, not '{text}'.")
    return int(height), int(width)


def fix_size(model: ModelProto, size: tuple[int, int], *, asked: bool = True) -> None:
    """Set an open height and width of a network's input; raises `ValueError` if another size was `asked` of it."""
    stored = {tensor.name for tensor in model.graph.initializer}
    given = [each for each in model.graph.input if each.name not in stored]
    dims = given[0].type.tensor_type.shape.dim if len(given) == 1 else []
    if len(dims) != 4:
        raise ValueError(f"--size is for a network whose input has height and width; this one has {len(dims)} axes.")
    places = (1, 2) if dims[3].dim_value in (1, 3) else (2, 3)
    for place, length in zip(places, size, strict=True):
        if dims[place].dim_value not in (0, length):
            if not asked:
                return
            raise ValueError(f"The network takes {dims[places[0]].dim_value}x{dims[places[1]].dim_value} pixels only.")
        dims[place].dim_value = length

"""High dynamic range, as phones film it (PQ and HLG), mapped to the 8 bits of an ordinary screen.

SDR white is 203 cd/m² (ITU-R BT.2408). Up to a third of that, brightness is kept; above, highlights are rolled off so
that 1000 cd/m² just reaches white. FFmpeg's `lut3d` applies the mapping.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Literal

import av
import av.filter
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

Transfer = Literal["pq", "hlg"]
Floats = NDArray[np.float64]

WHITE = 203.0
"""SDR white, in cd/m² (ITU-R BT.2408)."""
PEAK = 1000.0
"""Brighter light is clipped, in cd/m²: the nominal peak of HLG, and what phones master PQ for."""
KNEE = 1 / 3
"""Fraction of WHITE, in linear light, above which light is rolled off."""
GRID = 33
"""Points of the table along each colour axis."""

# Linear light, ITU-R BT.2020 to BT.709 (BT.2087).
_TO_709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
_MATRIX_NAMES = {1: "bt709", 5: "bt601", 6: "bt601"}


def transfer_of(frame: av.VideoFrame) -> Transfer | None:
    """The frame's HDR transfer function; None for SDR."""
    return {int(ColorTrc.SMPTE2084): "pq", int(ColorTrc.ARIB_STD_B67): "hlg"}.get(frame.color_trc)  # type: ignore[return-value]


def light(encoded: Floats, transfer: Transfer) -> Floats:
    """Display light in cd/m² for R'G'B' (…, 3) in 0…1; SMPTE ST 2084, or ITU-R BT.2100 HLG at 1000 cd/m²."""
    if transfer == "pq":
        power = np.clip(encoded, 0, 1) ** (1 / 78.84375)
        base = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
        return np.asarray(10_000 * base ** (1 / 0.1593017578125))
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(encoded <= 0.5, encoded**2 / 3, (np.exp((encoded - c) / a) + b) / 12)
    luma = scene @ np.array([0.2627, 0.6780, 0.0593])
    return np.asarray(PEAK * scene * luma[..., None] ** 0.2)


def roll_off(linear: Floats) -> Floats:
    """Linear light (…, 3) in units of WHITE, mapped to 0…1; the largest component is mapped, which keeps the hue.

    The Möbius curve of FFmpeg's `tonemap`: linear up to KNEE, of the same slope there, 1 at PEAK.
    """
    top, knee = PEAK / WHITE, KNEE
    a = -knee * knee * (top - 1) / (knee * knee - 2 * knee + top)
    b = (knee * knee - 2 * knee * top + top) / (top - 1)
    largest = np.maximum(linear.max(-1, keepdims=True), 1e-9)
    cut = np.minimum(largest, top)
    mapped = np.where(cut <= knee, cut, (b * b + 2 * b * knee + knee * knee) / (b - a) * (cut + a) / (cut + b))
    return np.asarray(np.clip(linear * mapped / largest, 0, 1))


def table(transfer: Transfer) -> Floats:
    """(GRID³, 3): R'G'B' in 0…1 for an SDR screen (gamma 2.4); the input's red varies fastest."""
    steps = np.linspace(0, 1, GRID)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    encoded = np.stack([red, green, blue], -1).reshape(-1, 3)
    linear = np.maximum(light(encoded, transfer) @ _TO_709.T / WHITE, 0)
    return np.asarray(roll_off(linear) ** (1 / 2.4))


class ToneMapper:
    """Maps the frames of one film to yuv420p, BT.709, limited range."""

    def __init__(self) -> None:
        self._key: object = None

    def __call__(self, frame: av.VideoFrame, transfer: Transfer) -> av.VideoFrame:
        """The frame mapped for an SDR screen."""
        key = (transfer, frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range)
        if key != self._key:
            self._graph, self._key = _graph(frame, transfer), key
        self._graph.push(frame)
        mapped = self._graph.pull()
        assert isinstance(mapped, av.VideoFrame)
        mapped.pts, mapped.time_base, mapped.duration = frame.pts, frame.time_base, frame.duration
        mapped.colorspace, mapped.color_range = Colorspace.ITU709, ColorRange.MPEG
        mapped.color_trc, mapped.color_primaries = ColorTrc.BT709, ColorPrimaries.BT709
        return mapped


def _graph(frame: av.VideoFrame, transfer: Transfer) -> av.filter.Graph:
    graph = av.filter.Graph()
    matrix = _MATRIX_NAMES.get(int(frame.colorspace), "bt2020")
    span = "pc" if frame.color_range == ColorRange.JPEG else "tv"
    accurate = "accurate_rnd+full_chroma_int+bicubic"
    with tempfile.TemporaryDirectory() as folder:  # the filter reads the table once, at creation
        cube = Path(folder) / "table.cube"
        with cube.open("w", encoding="ascii") as file:
            file.write(f"LUT_3D_SIZE {GRID}\n")
            np.savetxt(file, table(transfer), "%.6f")
        chain = [
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
            graph.add("scale", in_color_matrix=matrix, in_range=span, flags=accurate),
            graph.add("format", "gbrp10le"),
            graph.add("lut3d", file=str(cube), interp="tetrahedral"),
            graph.add("scale", out_color_matrix="bt709", out_range="tv", flags=accurate),
            graph.add("format", "yuv420p"),
            graph.add("buffersink"),
        ]
        for one, next_one in itertools.pairwise(chain):
            one.link_to(next_one)
        graph.configure()
    return graph

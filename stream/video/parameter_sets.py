"""Completes H.264 keyframes whose parameter sets (SPS, PPS) came earlier in the stream, or in the SDP only."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import replace

from whycam.stream.video.codec import H264_IDR, H264_PPS, H264_SPS, EncodedFrame

_START = b"\0\0\0\1"


class ParameterSets:
    """The newest parameter sets of one stream: `frame = sets.complete(frame)`, for each frame in its order."""

    def __init__(self, units: Iterable[bytes] = ()) -> None:
        """`units`: NAL units known before the stream begins, without start codes."""
        self._units: dict[int, list[bytes]] = {}
        self._learn(units)

    @classmethod
    def of_sdp(cls, sprop: str) -> ParameterSets:
        """From the format parameter `sprop-parameter-sets` (RFC 6184, 8.1); raises `ValueError`."""
        try:
            return cls(base64.b64decode(text, validate=True) for text in sprop.split(",") if text)
        except binascii.Error as error:
            raise ValueError(f"'sprop-parameter-sets' should be base64 texts with commas, not '{sprop}'.") from error

    def complete(self, frame: EncodedFrame) -> EncodedFrame:
        """The frame; an IDR picture without parameter sets gets the newest ones, without which no decoder can begin."""
        if frame.codec != "H264":
            return frame
        present = frame.nal_units
        kinds = {unit[0] & 31 for unit in present}
        self._learn(present)
        missing = [kind for kind in (H264_SPS, H264_PPS) if kind not in kinds]
        if H264_IDR not in kinds or not missing:
            return frame
        units = [unit for kind in missing for unit in self._units.get(kind, [])]
        return replace(frame, data=b"".join(_START + unit for unit in units) + frame.data)

    def _learn(self, units: Iterable[bytes]) -> None:
        newest: dict[int, list[bytes]] = {}
        for unit in units:
            if unit and unit[0] & 31 in (H264_SPS, H264_PPS):
                newest.setdefault(unit[0] & 31, []).append(unit)
        self._units |= newest

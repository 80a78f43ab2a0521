"""Encodes a live stream's painted frames: once for all, or a second time for a camera whose network carries less."""

from __future__ import annotations

from typing import NamedTuple

import av

from whycam.stream.video.codec import CodecName, EncodedFrame
from whycam.stream.video.encoder import KEYFRAME_EVERY, SOFTWARE, Backend, Encoder

APART_BELOW, TOGETHER_ABOVE = 0.6, 0.8
"""Shares of the full bit rate that the way back to the camera carries: below the first it may get frames of its own."""
BINDS, SUFFICES = 0.8, 1.3
"""The camera's bit rate limits an encoder that gives this share of it; it suffices for one that gives a 1.3th."""
FRAMES = KEYFRAME_EVERY
"""Over which the encoder's own bit rate is measured: one of them is a keyframe."""


class Encoded(NamedTuple):
    """A frame for those who receive it."""

    shared: EncodedFrame
    """For viewers and the recording, and for the camera too if it is the same."""
    returned: EncodedFrame | None
    """For the camera; None if its own encoder left the frame out."""


class LiveEncoder:
    """The encoders of one live stream. Its methods but `set_bit_rate` are called by the stream's thread."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._shared = self._new()
        self._own: Encoder | None = None
        """The camera's, while its network carries much less than viewers and the recording are to get."""
        self._bit_rate: int | None = None
        self._set_bit_rate: int | None = None
        self._given = 0.0
        """The bit rate that the shared encoder gives, smoothed, at 30 frames a second."""
        self._measured = 0
        """Frames since its bit rate was set anew."""

    def _new(self) -> Encoder:
        return Encoder(self._backend, fallback=SOFTWARE[self._backend.codec])

    @property
    def codec(self) -> CodecName:
        """The codec of the encoded frames."""
        return self._backend.codec

    def set_bit_rate(self, bit_rate: int) -> None:
        """Set what the way back to the camera carries, in bit/s; takes effect with the next frame."""
        self._bit_rate = bit_rate

    def encode(self, frame: av.VideoFrame, *, keyframe: bool, others: bool) -> Encoded | None:
        """The encoded frame; `others` says whether anybody but the camera gets it. None if the encoder left it out."""
        keyframe = self._part(frame, others) or keyframe
        shared = self._shared.encode(frame, keyframe=keyframe)
        if shared is None:
            return None
        self._measure(shared)
        if self._own is None:
            return Encoded(shared, shared)
        return Encoded(shared, self._own.encode(frame, keyframe=keyframe))

    def _measure(self, frame: EncodedFrame) -> None:
        self._measured += 1
        self._given += (8 * 30 * len(frame.data) - self._given) / min(self._measured, FRAMES)

    def _part(self, frame: av.VideoFrame, others: bool) -> bool:
        """Begin or end to encode for the camera alone; whether it gets another encoder's frames from now on."""
        rate, had = self._bit_rate, self._own
        if rate is None:
            return False
        full = self._shared.full_bit_rate(frame.width, frame.height)
        if self._measured >= FRAMES:
            if had is None and others and rate < APART_BELOW * full and self._given >= BINDS * rate:
                self._own = self._new()
            elif had is not None and (rate > TOGETHER_ABOVE * full or rate > SUFFICES * self._given):
                self._own = None
        if not others:
            self._own = None
        changes = had is not self._own
        if changes or rate != self._set_bit_rate:
            self._shared.set_bit_rate(rate if self._own is None else full)
            if self._own is not None:
                self._own.set_bit_rate(rate)
            self._set_bit_rate = rate
        if changes:
            self._measured = 0
        return changes

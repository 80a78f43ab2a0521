"""Keyframes whose parameter sets came earlier, or in the SDP only, get them."""

from __future__ import annotations

import base64

import pytest

from tests.support.films import media_samples
from whycam.stream.video.codec import H264_PPS, H264_SPS, EncodedFrame
from whycam.stream.video.parameter_sets import ParameterSets

START = b"\0\0\0\1"
WHOLE = media_samples.encoded("H264", 60, (160, 120), keyframes=(30,))


def without_sets(frame: EncodedFrame) -> EncodedFrame:
    kept = (unit for unit in frame.nal_units if unit[0] & 31 not in (H264_SPS, H264_PPS))
    return EncodedFrame("H264", b"".join(START + unit for unit in kept), frame.pts)


def sprop(frame: EncodedFrame) -> str:
    units = [unit for unit in frame.nal_units if unit[0] & 31 in (H264_SPS, H264_PPS)]
    return ",".join(base64.b64encode(unit).decode() for unit in units)


def test_a_keyframe_gets_the_parameter_sets_of_the_sdp() -> None:
    sets = ParameterSets.of_sdp(sprop(WHOLE[0]))
    completed = [sets.complete(without_sets(frame)) for frame in WHOLE]
    assert [frame.is_keyframe for frame in completed] == [frame.is_keyframe for frame in WHOLE]
    assert completed[0].header == WHOLE[0].header
    assert completed[1].data == without_sets(WHOLE[1]).data


def test_a_keyframe_gets_the_parameter_sets_that_came_before_it() -> None:
    """Some encoders send them once, or in a frame of their own."""
    sets = ParameterSets()
    alone = EncodedFrame("H264", b"".join(START + unit for unit in WHOLE[0].nal_units[:2]), 0)
    assert sets.complete(alone) == alone
    assert sets.complete(without_sets(WHOLE[30])).header == WHOLE[30].header


def test_the_newest_parameter_sets_count() -> None:
    large = media_samples.encoded("H264", 2, (320, 240))[0]
    sets = ParameterSets.of_sdp(sprop(WHOLE[0]))
    assert sets.complete(large) is large
    assert sets.complete(without_sets(large)).header == large.header


def test_a_whole_keyframe_and_vp8_stay_as_they_are() -> None:
    sets = ParameterSets.of_sdp(sprop(WHOLE[0]))
    for frame in (WHOLE[0], media_samples.encoded("VP8", 1, (160, 120))[0]):
        assert sets.complete(frame) is frame


@pytest.mark.parametrize("text", ["", ",", "AA=="])
def test_parameter_sets_that_are_none_complete_nothing(text: str) -> None:
    cut = without_sets(WHOLE[0])
    assert ParameterSets.of_sdp(text).complete(cut) == cut


@pytest.mark.parametrize("text", ["=", "Z0LAHg", "Z0 LAHg=="])
def test_parameter_sets_that_cannot_be_read_are_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="should be base64 texts"):
        ParameterSets.of_sdp(text)

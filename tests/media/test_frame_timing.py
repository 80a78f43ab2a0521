"""Frames at their times, and the count of those that could not be read."""

from __future__ import annotations

from collections.abc import Sequence

import av
import pytest

from tests.support.films import media_samples
from whycam.stream.media.frame_timing import Timeline


@pytest.mark.parametrize(
    ("unread", "concealed", "lost"),
    [
        ([0], 0, 1),
        ([0, 1], 0, 2),
        ([3], 1, 0),
        ([5], 1, 0),
        ([0, 3], 1, 1),
        ([], 1, 0),  # the decoder reported an error, and returned every frame
    ],
)
def test_an_error_counts_as_lost_only_where_there_was_no_frame_before(
    unread: Sequence[int], concealed: int, lost: int
) -> None:
    timeline = Timeline(1, whole=True)
    shown: list[av.VideoFrame] = []
    for number in range(6):
        timeline.expect(number)
        if number in unread or (not unread and number == 2):
            timeline.note_error()
        if number not in unread:
            shown += timeline.place(media_samples.frame(media_samples.spot((64, 48)), number))
    shown += timeline.end()
    assert [frame.pts for frame in shown] == list(range(lost, 6))
    assert (timeline.concealed, timeline.lost) == (concealed, lost)

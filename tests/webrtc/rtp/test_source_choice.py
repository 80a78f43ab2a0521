"""Of several streams in one section, one is taken, until it ends."""

from __future__ import annotations

from whycam.stream.webrtc.rtp.source_choice import TAKEOVER_S, SourceChoice


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_stream_is_taken_and_the_others_are_counted() -> None:
    changes: list[None] = []
    choice = SourceChoice(lambda: changes.append(None), Clock())
    assert [choice.takes(ssrc) for ssrc in (7, 8, 7, 9, 8, 7)] == [True, False, True, False, False, True]
    assert choice.chosen == 7
    assert choice.ignored == {8: 2, 9: 1}
    assert changes == []


def test_another_stream_takes_over_when_the_chosen_one_has_ended() -> None:
    changes: list[int | None] = []
    clock = Clock()
    choice = SourceChoice(lambda: changes.append(choice.chosen), clock)
    assert choice.takes(7)
    clock.now += TAKEOVER_S * 0.9
    assert not choice.takes(8)
    clock.now += TAKEOVER_S * 0.2
    assert choice.takes(8)
    assert changes == [7]
    assert not choice.takes(7)

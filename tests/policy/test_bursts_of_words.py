"""Once a burst."""

from __future__ import annotations

from tcpd.policy.bursts import BURST, Bursts


def test_the_first_is_told_and_the_next_one_with_how_many_were_not() -> None:
    bursts = Bursts()
    assert bursts.happened("refused", 0.0) == 0
    assert bursts.happened("refused", 1.0) is None
    assert bursts.happened("refused", BURST - 0.1) is None
    assert bursts.happened("refused", BURST) == 2
    assert bursts.happened("refused", 2 * BURST) == 0


def test_words_are_told_apart() -> None:
    bursts = Bursts()
    assert bursts.happened("refused", 0.0) == 0
    assert bursts.happened("timeout", 0.0) == 0
    assert bursts.happened("refused", 0.0) is None

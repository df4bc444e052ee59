"""How sure a verdict is, in words."""

import pytest
from nouns import verdict

from producer.analysis.recommendation import Recommendation
from producer.analysis.sureness import how_sure, sureness, told

CHOSEN = Recommendation(lane="threads", why="")
NONE = Recommendation(lane=None, why="")


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.9, "likely (90 %)"), (0.9349, "likely (93 %)"), (0.99999, "likely (99 %)")],
)
def test_what_is_likely_says_how_likely_and_never_that_it_is_certain(probability, words):
    assert how_sure(verdict("threads", sure="likely", probability=probability)) == words


def test_a_verdict_is_its_word_and_how_sure_that_is():
    assert told(verdict("threads")) == "threads, settled"
    assert told(verdict("no difference", sure="likely", probability=0.95)) == "no difference, likely (95 %)"
    assert told(verdict("open")) == how_sure(verdict("open")) == "open"


def test_a_recommendation_rests_on_the_verdicts_on_capacity_of_its_lane():
    verdicts = [
        verdict("threads", measure="latency", reason="of latency"),
        verdict("threads", reason="more than prefork"),
        verdict("open", b="solo", reason="of two others"),
        verdict("no difference", a="threads", b="solo", sure="likely", probability=0.95, reason="as many"),
    ]
    assert sureness(CHOSEN, verdicts) == ("threads, settled: more than prefork; no difference, likely (95 %): as many")
    assert sureness(NONE, verdicts).count("; ") == 2


@pytest.mark.parametrize("verdicts", [[], [verdict(measure="latency")]])
def test_without_a_verdict_on_capacity_nothing_was_compared(verdicts):
    assert sureness(CHOSEN, verdicts) == "nothing was compared"

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.candidate import Candidate, Score
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Completion
from ponder.core.solve import solve
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.models.scripted import ScriptedModel
from ponder.numerics.difficulty import absolute_bin, quantile_bins
from ponder.planning.difficulty import UNKNOWN, Absolute, Bins, Difficulty, Evidence, Quantiles

values = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def candidate(index, answer, *, score=None, certainty=(), finish="stop"):
    message = Message("assistant", f"It is {answer}")
    completion = Completion(message=message, finish=finish, usage=Usage(), certainty=certainty)
    scores = {"judge": Score(value=score)}
    return Candidate(index=index, message=message, answer=answer, finish=finish, scores=scores, completion=completion)


FIVE = [
    candidate(0, "12", score=0.9, certainty=(1.0, 3.0)),
    candidate(1, "7", score=None, certainty=(4.0,)),
    candidate(2, "12", score=0.3),
    candidate(3, None, score=0.0),
    Candidate(index=4, error="the call failed"),
]
GRADES = (True, False, True, False, None)


@pytest.mark.parametrize(
    ("estimator", "value"),
    [("oracle", 2 / 4), ("agreement", 2 / 4), ("verifier", (0.9 + 0.3 + 0.0) / 3), ("certainty", (2.0 + 4.0) / 2)],
)
def test_estimators_leave_out_what_failed_and_what_is_missing(estimator, value):
    evidence = Evidence.of(FIVE, verifier="judge", grades=GRADES)
    assert Difficulty(estimator=estimator).value(evidence) == pytest.approx(value)


def test_a_broken_off_answer_is_no_evidence():
    evidence = Evidence.of([candidate(0, "1"), candidate(1, "2", finish="cancelled")])
    assert evidence.groups == (0,)


def test_groups_of_the_answer_type_take_precedence_over_equal_text():
    evidence = Evidence.of([candidate(0, "1/2"), candidate(1, "0.5")], groups=(0, 0))
    assert Difficulty(estimator="agreement").value(evidence) == 1


def test_answers_that_nobody_can_read_do_not_agree():
    assert Difficulty(estimator="agreement").value(Evidence(groups=(None, None))) == 0


@pytest.mark.parametrize("estimator", ["oracle", "verifier", "agreement", "certainty"])
def test_no_evidence_is_unknown_and_not_hard(estimator):
    difficulty = Difficulty(estimator=estimator, binning=Absolute())
    assert difficulty.value(Evidence(groups=())) is None
    assert difficulty.fit([]).of(None) == UNKNOWN


def test_the_oracle_alone_is_flagged():
    flagged = [name for name in ("oracle", "verifier", "agreement", "certainty") if Difficulty(estimator=name).oracle]
    assert flagged == ["oracle"]


def test_head_keeps_the_first_samples():
    evidence = Evidence.of(FIVE, verifier="judge", grades=GRADES)
    assert evidence.head(2) == Evidence.of(FIVE[:2], verifier="judge", grades=GRADES[:2])


async def test_evidence_reads_a_real_result():
    model = ScriptedModel(replies=("4", "4", "five"))
    result = await solve("2 + 2?", model=model, method="self_consistency", n=3, early_stop="none")
    share = Difficulty(estimator="agreement").value(Evidence.of(result.candidates))
    texts = [c.answer for c in result.candidates]
    assert share == max(texts.count(text) for text in texts) / 3


def test_quantiles_of_ten_pass_rates_give_two_each_and_are_monotone():
    rates = [0.9, 0.05, 0.3, 0.7, 0.1, 1.0, 0.55, 0.2, 0.4, 0.8]  # card 04, check 7
    bins = Difficulty(estimator="oracle").fit(rates)
    names = [bins.of(rate) for rate in sorted(rates, reverse=True)]
    assert names == ["1", "1", "2", "2", "3", "3", "4", "4", "5", "5"]


@given(values, st.integers(1, 7))
def test_quantiles_of_distinct_values_are_those_of_ranking(found, count):
    distinct = list(dict.fromkeys(found))
    bins = Difficulty(binning=Quantiles(bins=count)).fit(distinct)
    assert [bins.of(value) for value in distinct] == [str(bin_) for bin_ in quantile_bins(distinct, count)]


@given(values, values)
def test_bins_apply_to_other_values_in_order(learned, others):
    bins = Difficulty(binning=Quantiles(bins=4)).fit(learned)
    numbers = [int(bins.of(value)) for value in sorted(others, reverse=True)]
    assert numbers == sorted(numbers)


@given(st.floats(0, 1), st.integers(1, 30))
def test_equal_values_share_a_bin(value, count):
    bins = Difficulty().fit([value] * count)
    assert bins.of(value) == "1"


def test_absolute_bins_close_their_lower_edges():
    bins = Difficulty(estimator="oracle", binning=Absolute()).fit([])
    rates = [0, 0.05, 0.1, 0.3, 0.5, 0.9]  # card 13, check 7
    assert [bins.of(rate) for rate in rates] == ["hard", "hard", "medium", "medium", "easy", "easy"]


@given(st.floats(0, 1))
def test_default_thresholds_are_those_of_card_13(rate):
    assert Difficulty(binning=Absolute()).fit([]).of(rate) == absolute_bin(rate)


def test_thresholds_and_names_are_parameters():
    binning = Absolute(thresholds=(2.0,), names=("sure", "unsure"))
    assert Difficulty(estimator="certainty", binning=binning).fit([]) == Bins(edges=(2.0,), names=("sure", "unsure"))


def test_settings_without_sense_are_refused():
    for make in (
        lambda: Difficulty(estimator="guess"),  # type: ignore[arg-type]  # what a user may type
        lambda: Quantiles(bins=0),
        lambda: Absolute(thresholds=(0.1, 0.5)),
        lambda: Absolute(thresholds=(0.5,)),
        lambda: Absolute(thresholds=(0.5,), names=("easy", UNKNOWN)),
    ):
        with pytest.raises(ConfigError):
            make()
    with pytest.raises(BadInput):
        Difficulty().fit([None])
    with pytest.raises(BadInput):
        Evidence(groups=(0, 0), scores=(1.0,))

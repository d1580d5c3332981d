from __future__ import annotations

from dataclasses import replace

import pytest

from ponder.bench.studies.dynamics import (
    ALL,
    QUARTILES,
    Ability,
    Judged,
    Trend,
    analyse,
    correlation,
    read_judged,
    trend,
    vote,
)
from ponder.bench.studies.page import render_page
from ponder.bench.studies.verification_dynamics import verification_dynamics
from ponder.core.errors import BadInput
from ponder.numerics.intervals import wilson
from ponder.planning.difficulty import Evidence
from tests.bench.studies.study_worlds import known, row, verifier_that_solves


def test_a_verifier_that_solves_itself_accepts_less_of_hard_problems_and_rejects_alike():
    """Card 21, check 7: TPR = s(d), TNR about 1 - (1 - s) / 10."""
    found = analyse(verifier_that_solves(lambda rate: rate))
    cells = [known(found.cell("judge", bin=name)) for name in QUARTILES]
    accepted, rejected = [known(cell.tpr).value for cell in cells], [known(cell.tnr).value for cell in cells]
    assert accepted == sorted(accepted)
    assert accepted[-1] - accepted[0] > 0.5
    assert min(rejected) > 0.88
    for solved, refused in zip(accepted, rejected, strict=True):
        assert refused == pytest.approx(1 - (1 - solved) / 10, abs=0.06)


def test_the_gain_of_filtering_agrees_with_the_population_formula():
    found = analyse(verifier_that_solves(lambda rate: 0.8, answers=64))
    # The formula is for one pass rate: look where problems are alike.
    cell = next(c for c in found.intervals if c.bin == "[0.4,0.5)")
    assert cell.gain[0] == pytest.approx(cell.expected, abs=0.02)
    gain, low, high = map(known, cell.gain)
    assert low < gain < high


def test_a_perfect_verifier_leaves_right_answers_alone_and_a_blind_one_changes_nothing():
    """Card 21, checks 2 and 4, on answers: TPR = TNR = 1; TPR + TNR = 1; everything rejected; nothing right."""
    labels = (True, True, False, False)
    for votes, after, expected in (
        (labels, 1.0, 0.5),
        ((True, False, True, False), 0.5, 0.0),
        ((False,) * 4, 0.5, 0.0),
        ((None,) * 4, 0.5, 0.0),
    ):
        cell = known(analyse([Judged("p", "g", "v", votes, labels)]).cell("v"))
        assert (cell.before, cell.after) == (0.5, after)
        assert cell.expected == pytest.approx(expected)
    none = known(analyse([Judged("p", "g", "v", (True, False), (False, False))]).cell("v"))
    assert (none.before, none.after, none.gain[0]) == (0.0, 0.0, 0.0)


def test_unreadable_votes_have_half_credit_and_none_in_the_strict_rates():
    """Card 21, check 3."""
    votes = (True, True, False, None, False, True, None, False)
    labels = (True, False, True, True, False, True, False, False)
    found = analyse([Judged("p", "g", "v", votes, labels)])
    cell = known(found.cell("v"))
    assert (known(cell.tpr).value, known(cell.tnr).value) == (0.625, 0.625)
    assert (cell.rates.strict_tpr, cell.rates.strict_tnr) == (0.5, 0.75)
    assert (cell.before, cell.after) == (0.5, 0.625)
    assert cell.unread == 2
    assert cell.tpr == pytest.approx(wilson(2.5, 4))
    assert cell.gain == (0.125, None, None)  # one problem says nothing about others


def test_a_rate_over_nothing_is_missing():
    cell = known(analyse([Judged("p", "g", "v", (True,), (True,))]).cell("v"))
    assert cell.tnr is None
    assert cell.balanced is None
    assert cell.expected is None


def test_generators_are_compared_on_shared_problems_and_sorted_by_strength():
    judged = [
        Judged("p", "strong", "v", (True, True), (True, True)),
        Judged("p", "weak", "v", (True, False), (True, False)),
        Judged("q", "strong", "v", (True, True), (True, False)),
        Judged("q", "weak", "v", (False, False), (False, False)),
    ]
    found = analyse(judged, bins=("hard", "easy"))
    assert found.generators == ("weak", "strong")
    assert found.accepted == {"v": {"strong": 1.0, "weak": 1.0}}
    assert found.rejected == {"v": {"strong": 0.0, "weak": 1.0}}
    assert found.difficulty == {"p": 0.75, "q": 0.25}
    assert known(found.cell("v", "weak", "easy")).problems == 1
    assert known(found.cell("v", ALL, "easy")).rates.right == 3


def test_problems_that_a_generator_lacks_are_dropped_and_counted():
    judged = [Judged("p", "a", "v", (True,), (True,)), Judged("p", "b", "v", (True,), (True,))]
    found = analyse([*judged, Judged("q", "a", "v", (True,), (True,))])
    assert (found.problems, found.dropped) == (("p",), 1)
    with pytest.raises(BadInput):
        analyse([judged[0], Judged("q", "b", "v", (True,), (True,))])


def test_ability_is_read_from_verifiers_whose_model_generates_too():
    judged = [Judged("p", "small", f"generative@{who}", (True, False), (True, False)) for who in ("small", "other")]
    assert analyse(judged).abilities == (Ability("generative@small", 0.5, 1.0),)
    assert correlation([Ability("v", 0.1, 0.5)] * 3) is None
    assert correlation([Ability("v", k / 10, 0.5 + k / 10) for k in range(3)]) == pytest.approx(1)


@pytest.mark.parametrize(("score", "cast"), [(0.9, True), (0.1, False), (0.5, None), (None, None)])
def test_a_score_on_the_threshold_or_missing_is_unreadable(score, cast):
    assert vote(score) is cast


def judged_row(problem, *, model="small", curve="v", n=2, **fields):
    evidence = Evidence(groups=(0, 1), scores=(1.0, None), grades=(True, None))
    fields = {"method": "best_of_n", "verifier": "generative", "model": model, "evidence": evidence, **fields}
    return replace(row(problem, curve, n, right=True), **fields)


def test_rows_give_one_entry_each_and_only_independent_graded_answers():
    assert read_judged([judged_row("p")]) == [Judged("p", "small", "v", (True,), (True,))]
    more = Evidence(groups=(0, 1, 0), scores=(1.0, 0.0, 0.2), grades=(True, False, True))
    (largest,) = read_judged([judged_row("p"), judged_row("p", evidence=more), judged_row("p")])
    assert largest.votes == (True, False, False)
    assert not read_judged([judged_row("p", method="beam_search"), judged_row("p", verifier="")])
    assert not read_judged([judged_row("p", evidence=None)])


def test_the_study_shows_a_section_per_verifier_and_escapes():
    asked = [judged_row(f"p{k}", curve="<i>v</i>", model=m) for k in range(4) for m in ("small", "<i>big</i>")]
    study = verification_dynamics(asked, facts=("made up",))
    page = render_page(study)
    assert page.count("<svg") >= 2
    assert "<i>" not in page
    assert study.data["cells"][0]["rates"]["right"] == 8
    assert any("0 of 8 verdicts cannot be read" in line for line in study.sections[0].lines)
    with pytest.raises(BadInput, match="judged"):
        verification_dynamics([row("p", "vote", 2, right=True)])


def crowd():
    """Five verifiers whose models generate too: model k answers k + 2 of 8 right, on each of eight problems.

    As a verifier it accepts the same share of right answers, and rejects every wrong one.
    """
    judged = []
    for able in range(2, 7):
        for level in range(2, 7):
            labels = (True,) * level + (False,) * (8 - level)
            for problem in range(8):
                # Over the eight problems each place is accepted `able` times.
                right = tuple((problem + 3 * place) % 8 < able for place in range(level))
                votes = (*right, *(False,) * (8 - level))
                judged.append(Judged(f"p{problem}", f"m{level}", f"generative@m{able}", votes, labels))
    return judged


def test_trend_of_accuracy_over_ability_is_the_line_that_made_it():
    found = analyse(crowd(), bins=("hard", "easy"))
    assert [one.bin for one in found.trends] == [ALL, "hard", "easy"]
    whole = found.trends[0]
    assert [able.pass_rate for able in whole.abilities] == [k / 8 for k in range(2, 7)]
    assert whole.abilities == tuple(sorted(found.abilities, key=lambda one: one.pass_rate))
    line = known(whole.line)
    # Accepted share (k + 2) / 8 of right answers, all wrong ones rejected: (x + 1) / 2.
    assert tuple(line) == pytest.approx((0.5, 0.5))
    assert whole.r == pytest.approx(1)
    assert whole.smooth == pytest.approx([able.balanced for able in whole.abilities])
    for one in found.trends[1:]:
        assert [able.pass_rate for able in one.abilities] == [able.pass_rate for able in whole.abilities]


def test_two_verifiers_or_equal_ones_have_no_trend():
    two = [Ability("a", 0.1, 0.5), Ability("b", 0.9, 0.8)]
    assert trend(two) == Trend(ALL, tuple(two), None, None, ())
    assert trend([Ability("v", 0.5, k / 10) for k in range(4)]).line is None
    level = trend([Ability("v", k / 10, 0.5) for k in range(4)])
    assert level.r is None
    assert tuple(known(level.line)) == pytest.approx((0.5, 0.0))
    assert level.smooth == pytest.approx((0.5,) * 4)


def judged_rows(entries):
    for entry in entries:
        scores = tuple({True: 1.0, False: 0.0, None: None}[vote] for vote in entry.votes)
        evidence = Evidence(groups=(0,) * len(scores), scores=scores, grades=entry.labels)
        yield judged_row(entry.problem, model=entry.generator, curve=entry.verifier, n=8, evidence=evidence)


def test_study_draws_the_trends_and_keeps_their_numbers():
    study = verification_dynamics(list(judged_rows(crowd())))
    section = study.sections[-1]
    assert section.title == "A verifier and its own ability"
    assert [picture.labels for picture in section.pictures] == [("verifiers", "straight line", "LOWESS"), QUARTILES]
    abilities, trends = section.tables
    assert abilities.head[3:] == QUARTILES
    assert [row[0] for row in trends.rows] == [ALL, *QUARTILES]
    assert trends.rows[0][1:] == ("5", "1.00", "0.50", "0.50")
    (whole, *_) = study.data["trends"]
    assert whole["line"]["slope"] == pytest.approx(0.5)
    assert len(whole["lowess"]) == 5
    assert "LOWESS" in render_page(study)
    few = verification_dynamics(list(judged_rows(e for e in crowd() if e.verifier[-1] in "23")))
    assert not few.sections[-1].pictures
    assert "3 verifiers" in few.sections[-1].lines[0]
    assert few.data["trends"][0]["line"] is None

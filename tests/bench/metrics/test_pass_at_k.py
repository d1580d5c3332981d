"""Coverage from the samples of the largest runs."""

from __future__ import annotations

import pytest

from ponder.bench.metrics.pass_at_k import PassAtK
from ponder.core.errors import ConfigError
from tests.bench.metrics.metric_doubles import graded_row


def test_coverage_is_unbiased_and_taken_from_the_largest_runs() -> None:
    rows = [graded_row("a", "11000000"), graded_row("a", "1")]
    found = {measure.group.n: measure.value for measure in PassAtK().compute(rows)}
    assert found == {
        1: pytest.approx(0.25),
        2: pytest.approx(0.4643, abs=1e-4),
        4: pytest.approx(0.7857, abs=1e-4),
        8: 1.0,
    }


def test_prompts_with_too_few_graded_samples_are_left_out_and_counted() -> None:
    found = PassAtK(ks=(4,)).compute([graded_row("a", "1100"), graded_row("b", "1??0", n=4)])
    assert [(measure.prompts, measure.note) for measure in found] == [
        (1, "1 prompts with fewer than 4 graded samples left out")
    ]


@pytest.mark.parametrize("ks", [(), (0,)])
def test_sizes_that_make_no_sense_are_refused(ks: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError):
        PassAtK(ks=ks)

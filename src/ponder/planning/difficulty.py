"""Difficulty of a question for a model: a number from a few samples of it, then a bin.

Source: bins of equal counts and the verifier's mean, Snell et al. 2024, arXiv:2408.03314, section 3.2 (card 04);
absolute thresholds, Liu et al. 2025, arXiv:2502.06703 (card 13). Agreement and certainty are our own estimates for
where there is neither gold nor a verifier.
Differs: bins are learned as thresholds, so that those of one set of questions apply to others (cross-fitting); equal
values then always share a bin, where ranking alone would split them by order. A value on a threshold belongs to the
easier bin (our choice).
Cost: the samples, which the caller pays and counts. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, TypeAlias

from ponder.core.candidate import Candidate
from ponder.core.errors import BadInput, ConfigError
from ponder.engines.confidence import self_certainty
from ponder.numerics.difficulty import quantile_bins

__all__ = ["UNKNOWN", "Absolute", "Binning", "Bins", "Difficulty", "Estimator", "Evidence", "Quantiles"]

Estimator: TypeAlias = Literal["oracle", "verifier", "agreement", "certainty"]

UNKNOWN = "unknown"  # the bin of a question about which its samples say nothing


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the answers sampled for one question showed; all tuples have one entry per answer, in sample order.

    Answers that failed or were broken off are left out: they say nothing about the question.

    Attributes:
        groups: equal answers share a number; None where nothing can be read.
        scores: of a verifier; None where missing.
        certainties: self-certainty in nats; None where the back-end gave none.
        grades: right or wrong, from gold; None where not graded. Only studies fill this.
    """

    groups: tuple[int | None, ...]
    scores: tuple[float | None, ...] = ()
    certainties: tuple[float | None, ...] = ()
    grades: tuple[bool | None, ...] = ()

    def __post_init__(self) -> None:
        if any(len(part) not in (0, len(self.groups)) for part in (self.scores, self.certainties, self.grades)):
            raise BadInput("evidence needs one entry per answer")

    @classmethod
    def of(
        cls,
        candidates: Sequence[Candidate],
        *,
        groups: Sequence[int | None] | None = None,
        verifier: str = "",
        grades: Sequence[bool | None] = (),
    ) -> Evidence:
        """Read the candidates of a result.

        Args:
            candidates: independent samples of one question.
            groups: of the candidates, by the equality of their answer type; by default equal text is equal.
            verifier: whose scores to take; "" for none.
            grades: of the candidates, for studies.
        """
        answers = [c.answer for c in candidates]
        groups = [None if a is None else answers.index(a) for a in answers] if groups is None else groups
        kept = [at for at, c in enumerate(candidates) if c.ok and c.finish != "cancelled"]
        found = [candidates[at] for at in kept]
        return cls(
            groups=tuple(groups[at] for at in kept),
            scores=tuple(c.scores[verifier].value if verifier in c.scores else None for c in found) if verifier else (),
            certainties=tuple(self_certainty(c).value for c in found),
            grades=tuple(grades[at] for at in kept) if grades else (),
        )

    def head(self, count: int) -> Evidence:
        """Return what the first `count` answers showed."""
        return Evidence(
            groups=self.groups[:count],
            scores=self.scores[:count],
            certainties=self.certainties[:count],
            grades=self.grades[:count],
        )


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """Bins of equal counts, "1" (easiest) to str(bins): relative to the questions they are learned on.

    They depend on the model and are learned anew when it changes.
    """

    bins: int = 5

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise ConfigError(f"bins must be at least 1, got {self.bins!r}")


@dataclass(frozen=True, kw_only=True)
class Absolute:
    """Bins between fixed thresholds, comparable across models.

    Attributes:
        thresholds: least value of each bin but the hardest, falling.
        names: of the bins, easiest first, one more than thresholds.
    """

    thresholds: tuple[float, ...] = (0.5, 0.1)
    names: tuple[str, ...] = ("easy", "medium", "hard")

    def __post_init__(self) -> None:
        if any(not upper > lower for upper, lower in pairwise(self.thresholds)):
            raise ConfigError(f"thresholds must fall, got {self.thresholds!r}")
        if len(set(self.names) - {UNKNOWN}) != len(self.thresholds) + 1 or len(self.names) != len(self.thresholds) + 1:
            raise ConfigError(f"{len(self.thresholds)} thresholds need one name more, each its own, got {self.names!r}")


Binning: TypeAlias = Quantiles | Absolute


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Learned bins.

    Attributes:
        edges: least value of each bin but the hardest, falling; equal edges leave a bin empty.
        names: easiest first.
    """

    edges: tuple[float, ...]
    names: tuple[str, ...]

    def of(self, value: float | None) -> str:
        """Return the bin of a value; a missing one is `UNKNOWN`, not hard."""
        if value is None:
            return UNKNOWN
        return self.names[next((at for at, edge in enumerate(self.edges) if value >= edge), len(self.edges))]


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """An estimator of difficulty with its bins; high values are easy.

    Attributes:
        estimator: "oracle" is pass@1 from grades, an upper bound for studies alone; "verifier" the mean score;
            "agreement" the share of the leading answer among all answers; "certainty" the mean self-certainty.
        binning: how values become bins. Absolute thresholds are in the estimator's own unit: for shares the defaults
            make sense, for nats they do not.
    """

    estimator: Estimator = "agreement"
    binning: Binning = field(default_factory=Quantiles)

    def __post_init__(self) -> None:
        if self.estimator not in ("oracle", "verifier", "agreement", "certainty"):
            raise ConfigError(f"estimator must be oracle, verifier, agreement or certainty, got {self.estimator!r}")

    @property
    def oracle(self) -> bool:
        """Whether it needs gold: never at test time."""
        return self.estimator == "oracle"

    def value(self, evidence: Evidence) -> float | None:
        """Return the estimate, or None where the evidence holds nothing to estimate from."""
        match self.estimator:
            case "oracle":
                return _mean([None if grade is None else float(grade) for grade in evidence.grades])
            case "verifier":
                return _mean(evidence.scores)
            case "agreement":
                counts = Counter(group for group in evidence.groups if group is not None)
                return max(counts.values(), default=0) / len(evidence.groups) if evidence.groups else None
            case "certainty":
                return _mean(evidence.certainties)

    def fit(self, values: Sequence[float | None]) -> Bins:
        """Learn the bins on some questions' values; absolute ones are what they are.

        On distinct values the quantiles are those of `quantile_bins`.

        Raises:
            BadInput: no value is known, and the bins are quantiles.
        """
        if isinstance(self.binning, Absolute):
            return Bins(edges=self.binning.thresholds, names=self.binning.names)
        known = sorted((value for value in values if value is not None), reverse=True)
        if not known:
            raise BadInput("quantiles of difficulty need at least one question with a known value")
        count = self.binning.bins
        of = quantile_bins(known, count)
        # The edge under a bin lies halfway to the next value, so that new values fall to the nearer side.
        edges = []
        for number in range(1, count):
            inside = sum(bin_ <= number for bin_ in of)
            below = known[inside] if inside < len(known) else -math.inf
            above = known[inside - 1] if inside else math.inf
            edges.append(_between(above, below))
        return Bins(edges=tuple(edges), names=tuple(str(number) for number in range(1, count + 1)))


def _between(above: float, below: float) -> float:
    """Return a threshold that `above` reaches and `below` does not, unless they are equal."""
    if math.isinf(above) or math.isinf(below):
        return above if math.isinf(below) else below
    middle = below + (above - below) / 2
    return middle if below < middle else above


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None

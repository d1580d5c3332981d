"""Options out of recorded runs: what each model covers with N answers of a question, and what that costs in eFLOPs.

The graded samples of a question are those of its largest run of independent samples; costs follow from the length of
each and the shape of the model, so that models compare. The options feed the oracle of
`ponder.numerics.cost_allocation` and, as points, the law `kinetics`, whose `best` plans under a cap.
Paper: Sadhukhan et al. 2025, arXiv:2506.05333 (card 54, E, D and H).
Differs: attention is dense, unless the runs' method has a setting `kv_budget`, which then prices top-k attention.
Cost: no model call. Needs: rows and their candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ponder.bench.rows import CandidateRow, Row
from ponder.bench.studies.recording import samples_in_parallel
from ponder.core.errors import BadInput
from ponder.numerics.cost_allocation import TRIALS, Option, trial_options
from ponder.numerics.cost_laws import INTENSITY, Cost, Shape, dense_cost, topk_cost

__all__ = ["recorded_options"]


def recorded_options(
    rows: Iterable[Row],
    candidates: Iterable[CandidateRow],
    shapes: Mapping[str, Shape],
    *,
    trials: Sequence[int] = TRIALS,
    intensity: float = INTENSITY,
) -> list[Option]:
    """Return an option for each model, key budget, question and number of answers that the runs can show.

    Args:
        rows: of one or several models.
        candidates: of these rows.
        shapes: by model, as the rows name it (`ponder.models.shapes.read_shape`).
        trials: numbers of answers.
        intensity: FLOPs of the hardware in the time of reading a byte, >= 0.

    Raises:
        BadInput: a model without a shape, or no run with graded samples.
    """
    answers: dict[str, list[CandidateRow]] = {}
    for candidate in candidates:
        if candidate.correct is not None:
            answers.setdefault(candidate.run, []).append(candidate)
    largest: dict[tuple[str, int | None, str], Row] = {}
    for row in sorted(rows, key=lambda row: (row.model, row.problem, row.seed, row.run)):
        if not samples_in_parallel(row.method) or row.run not in answers:
            continue
        key = (row.model, _kv_budget(row), f"{row.family} {row.problem}")
        if key not in largest or len(answers[largest[key].run]) < len(answers[row.run]):
            largest[key] = row
    if not largest:
        raise BadInput("no run kept graded samples: options need rows of independent samples with their candidates")
    found: list[Option] = []
    for (model, kv_budget, question), row in largest.items():
        if model not in shapes:
            raise BadInput(f"the shape of {model!r} is not given, and its cost follows from it")
        kept = sorted(answers[row.run], key=lambda candidate: candidate.index)
        prompt = max(candidate.usage.prompt_tokens for candidate in kept)
        found += trial_options(
            model,
            question,
            [candidate.usage.completion_tokens for candidate in kept],
            [bool(candidate.correct) for candidate in kept],
            _Law(shapes[model], prompt, kv_budget, intensity),
            trials=trials,
            kv_budget=kv_budget,
        )
    return found


class _Law:
    """Cost of a question by tokens of an answer and number of answers."""

    def __init__(self, shape: Shape, prompt: int, kv_budget: int | None, intensity: float) -> None:
        self.shape, self.prompt, self.kv_budget, self.intensity = shape, prompt, kv_budget, intensity

    def __call__(self, tokens: int, trials: int) -> Cost:
        if self.kv_budget is None:
            return dense_cost(self.shape, self.prompt, tokens, trials=trials, intensity=self.intensity)
        return topk_cost(
            self.shape, self.prompt, tokens, budget=self.kv_budget, trials=trials, intensity=self.intensity
        )


def _kv_budget(row: Row) -> int | None:
    value = row.settings.get("kv_budget")
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

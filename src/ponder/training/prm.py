"""Train a light process reward model on roll-outs of one's own tasks, and say how good it is on tasks it has not seen.

Source: soft value of a prefix = share of its roll-outs that end right, learnt by cross-entropy: Snell et al. 2024,
arXiv:2408.03314, appendix D (card 04); Monte-Carlo labels as in Zhao et al. 2025, arXiv:2504.00891 (card 57).
Differs: a logistic head over features of the model's own passes (`verifiers.prm_features`) instead of fine-tuning. A
prefix counts as often as it was rolled out. What the head reads and its penalty are chosen on the training tasks alone
(`training.fit_head`); the held-out ones choose nothing.
Cost: see `training.rollouts`, for every task; the fit itself takes seconds. Needs: tasks with references; numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError, Stopped
from ponder.core.model import Model, Sampling
from ponder.core.result import Result
from ponder.core.solve import Control, solve
from ponder.core.store import Store
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage, add_up
from ponder.numerics.auc import Counted, auc_interval
from ponder.numerics.losses import soft_cross_entropy
from ponder.tasks.problem import Problem
from ponder.training._grader import Grade, grader
from ponder.training.fit_head import Example, Fit, fit_head
from ponder.training.rollouts import Rollouts
from ponder.verifiers.trained_prm import Head

__all__ = ["Labelled", "label", "train_prm"]

_TOGETHER = 8  # problems in flight, so that a model that samples in batches has a full one
_NEXT = 1e-12  # what a rounded probability is taken for, so that a loss stays finite


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """The examples of some tasks and what they cost, by role; `stopped` is why a run ended early, else "done"."""

    examples: tuple[Example, ...]
    usage: Mapping[str, Usage]
    paid: Mapping[str, Usage]
    stopped: Stopped = "done"


async def train_prm(
    model: Model,
    problems: Sequence[Problem],
    *,
    rollouts: Rollouts | None = None,
    held_out: float = 0.25,
    sampling: Sampling | None = None,
    seed: int = 0,
    store: Store | None = None,
    control: Control | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Head:
    """Label prefixes of all problems, fit a head on most of them and measure it on the rest.

    Args:
        model: with exact continuation of prefixes, and the access that the features need.
        problems: with references, of distinct tasks; the last ones of those that were labelled are held out.
        rollouts: how examples are made.
        held_out: share of the labelled tasks that the head does not see, in (0, 1).
        sampling: the law of solutions and roll-outs.
        seed: of the samples and of the bootstrap.
        store: response store: a run that was broken off resumes from it.
        control: ends it early, with the problems that are labelled by then.
        progress: called with (problems labelled, all of them).

    Raises:
        ConfigError: `held_out` out of range.
        BadInput: a problem without reference, or too few examples that differ in their outcome.
    """
    rollouts = rollouts or Rollouts()
    if not 0 < held_out < 1:
        raise ConfigError(f"held_out must be in (0, 1), got {held_out!r}")
    if len({problem.task.id for problem in problems}) < len(problems) or len(problems) < 2:
        raise BadInput("a PRM needs distinct tasks, at least one to learn from and one to measure on")
    layers = rollouts.layers_of(model)
    labelled = await label(
        model, problems, rollouts, sampling=sampling, seed=seed, store=store, control=control, progress=progress
    )
    tasks = list(dict.fromkeys(example.task for example in labelled.examples))
    unseen = set(tasks[-max(1, round(len(tasks) * held_out)) :])
    learnt = [example for example in labelled.examples if example.task not in unseen]
    measured = [example for example in labelled.examples if example.task in unseen]
    fit = fit_head(learnt, layers)
    report = {
        "model": model.name,
        "seed": seed,
        "settings": registry.parameters(rollouts),
        "stopped": labelled.stopped,
        "tasks": tasks,
        "features": fit.features,
        "layer": fit.layer,
        "penalty": fit.penalty,
        "tried": dict(fit.tried),
        "train": _facts(learnt),
        "held_out": _facts(measured) | _quality(fit, layers, measured, _mean_value(learnt), seed),
        "usage": {role: used.to_json() for role, used in labelled.usage.items()},
        "paid": {role: used.to_json() for role, used in labelled.paid.items()},
    }
    return Head(
        fingerprint=model.info.fingerprint,
        features=fit.features,
        layer=fit.layer,
        delimiter=rollouts.delimiter,
        law=fit.law,
        report=report,
    )


async def label(
    model: Model,
    problems: Sequence[Problem],
    rollouts: Rollouts,
    *,
    sampling: Sampling | None = None,
    seed: int = 0,
    store: Store | None = None,
    control: Control | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Labelled:
    """Make the examples of each problem, a few problems at once; every call is metered. Arguments as `train_prm`.

    Raises:
        BadInput: a problem without a reference that can be read.
    """
    grades = {problem.task.id: grader(problem) for problem in problems}
    examples: list[Example] = []
    usage: dict[str, Usage] = {}
    paid: dict[str, Usage] = {}
    stopped: Stopped = "done"
    for start in range(0, len(problems), _TOGETHER):
        if progress is not None:
            progress(start, len(problems))
        part = problems[start : start + _TOGETHER]
        results = await gather_all(
            [
                partial(
                    solve,
                    p.task,
                    model=model,
                    method=rollouts,
                    sampling=sampling,
                    seed=seed,
                    store=store,
                    control=control,
                )
                for p in part
            ]
        )
        for problem, result in zip(part, results, strict=True):
            usage, paid = add_up([usage, result.usage]), add_up([paid, result.paid])
            if result.stopped == "done":
                examples += await _examples(problem, result, grades[problem.task.id])
            else:
                stopped = result.stopped
        if stopped != "done":
            break
    return Labelled(examples=tuple(examples), usage=usage, paid=paid, stopped=stopped)


async def _examples(problem: Problem, result: Result, grade: Grade) -> list[Example]:
    """Return the distinct prefixes of a task, graded."""
    found: dict[str, Example] = {}
    graded: dict[str, bool] = {}  # a solution is a roll-out of all its prefixes
    for candidate in result.candidates:
        prefix = ""
        kept = candidate.metadata
        for step, wholes, vector in zip(kept["steps"], kept["rollouts"], kept["seen"], strict=False):
            prefix += step
            if wholes and prefix not in found:
                for text in wholes:
                    if text not in graded:
                        graded[text] = await grade(text)
                found[prefix] = Example(
                    task=problem.task.id,
                    prefix=prefix,
                    vector=tuple(vector),
                    right=sum(graded[text] for text in wholes),
                    rollouts=len(wholes),
                )
    return list(found.values())


def _mean_value(examples: Sequence[Example]) -> float:
    return sum(e.right for e in examples) / sum(e.rollouts for e in examples)


def _facts(examples: Sequence[Example]) -> dict[str, Any]:
    return {
        "tasks": len({example.task for example in examples}),
        "prefixes": len(examples),
        "rollouts": sum(example.rollouts for example in examples),
        "mean_value": _mean_value(examples) if examples else None,
    }


def _quality(
    fit: Fit, layers: Sequence[int], examples: Sequence[Example], constant: float, seed: int
) -> dict[str, Any]:
    """Return the areas under the ROC curve, with intervals over tasks, and the loss against a constant prediction."""
    predicted = [fit.predict(example, layers) for example in examples]
    trials = [Counted(p, e.right, e.rollouts - e.right, e.task) for p, e in zip(predicted, examples, strict=True)]
    areas = {"auc": auc_interval(trials, "all", seed=seed), "auc_within": auc_interval(trials, "within", seed=seed)}
    return {
        **{name: None if area is None else area._asdict() for name, area in areas.items()},
        "cross_entropy": _loss(predicted, examples),
        "cross_entropy_of_constant": _loss([constant] * len(examples), examples),
    }


def _loss(predicted: Sequence[float], examples: Sequence[Example]) -> float | None:
    """Return the mean cross-entropy of a roll-out."""
    if not examples:
        return None
    losses = [
        e.rollouts * soft_cross_entropy(e.value, min(max(p, _NEXT), 1 - _NEXT))
        for p, e in zip(predicted, examples, strict=True)
    ]
    return sum(losses) / sum(e.rollouts for e in examples)

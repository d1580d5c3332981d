"""What a run may cost, before it: `ponder solve --estimate`. Nothing is sent.

At most: where all calls read the task's prompt, each of them at its exact (or bounded) length and the full
`max_tokens`, let through a meter with the budget, so that it is what the budget would really admit. Where calls read
earlier answers (revisions, searches, judges) no call takes more than the model's context, and that is the bound.
Expected: the same calls at the mean length of the model's stored answers; an early stop makes it less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.core.budget import Budget, Meter, Need
from ponder.core.errors import BadInput
from ponder.core.model import Model, Request, Sampling
from ponder.core.store import Store
from ponder.core.task import Task
from ponder.core.usage import Usage

__all__ = ["Estimate", "Line", "estimate"]

_UNITS = {"usd": ("USD", ".6f"), "flops": ("FLOPs", ".2e")}  # head of the column, format


@dataclass(frozen=True, kw_only=True)
class Line:
    """The cost of one role.

    Attributes:
        role, model: whose cost it is.
        calls: most calls.
        most: the worst case, or None where it is not known before the answers are there.
        tokens: most tokens of the role, prompt and answers together, or None where not even that is known.
        expected: the expected cost, or None where nothing is known of the model's answers.
        prompt_exact: whether the prompt was counted exactly.
    """

    role: str
    model: str
    calls: int
    most: Usage | None = None
    tokens: int | None = None
    expected: Usage | None = None
    prompt_exact: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {
            "role": self.role,
            "model": self.model,
            "calls": self.calls,
            "at_most": None if self.most is None else self.most.to_json(),
            "tokens_at_most": self.tokens,
            "expected": None if self.expected is None else self.expected.to_json(),
            "prompt_exact": self.prompt_exact,
        }


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The cost of a run by role.

    Attributes:
        lines: one a role.
        mean_length: mean length of the stored answers that the expectation is taken from, or None, and
        stored: their number.
    """

    lines: tuple[Line, ...]
    mean_length: float | None = None
    stored: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        lines = [line.to_json() for line in self.lines]
        return {"schema": 1, "roles": lines, "mean_length": self.mean_length, "stored": self.stored}

    def show(self, title: str) -> None:
        """Print it as a table."""
        from ponder.cli.console import show, table

        known = [usage for line in self.lines for usage in (line.most, line.expected) if usage is not None]
        units = [unit for unit in ("usd", "flops") if any(getattr(usage, unit) is not None for usage in known)]
        numbers = ("calls", "prompt", "completion", "tokens", *(_UNITS[unit][0] for unit in units))
        rows = table("role", "", *numbers, right=numbers)
        for line in self.lines:
            if line.most is None:
                tokens = "unknown" if line.tokens is None else f"{line.tokens:,}"
                rows.add_row(line.role, "at most", f"{line.calls:,}", "", "", tokens)
            else:
                rows.add_row(line.role, "at most" if line.prompt_exact else "at most *", *_cells(line.most, units))
            if line.expected is not None:
                rows.add_row("", "expected", *_cells(line.expected, units))
        notes = [] if all(line.prompt_exact for line in self.lines) else ["* prompt tokens are an upper bound"]
        if all(line.most is None for line in self.lines):
            notes.append("Its calls read earlier answers: a budget is the way to a closer bound.")
        elif self.mean_length is None:
            notes.append("Expected: unknown, no answer of this model is stored yet.")
        else:
            length = f"{self.mean_length:.0f} tokens an answer"
            notes.append(f"Expected: at {length}, the mean of {self.stored:,} stored; an early stop makes it less.")
        show(f"{title}: nothing was spent", rows, *notes)


def estimate(
    task: Task,
    calls: Mapping[str, int],
    *,
    models: Mapping[str, Model],
    sampling: Sampling,
    budget: Budget,
    store: Store | None,
    rereads: bool,
) -> Estimate:
    """Return what a run may cost.

    Args:
        task: what is asked.
        calls: most calls by role.
        models: by role; other roles use "policy".
        sampling: the law of the answers.
        budget: what the run may spend.
        store: stored answers, to learn how long they usually are.
        rereads: whether calls of the policy read more than the task's prompt.

    Raises:
        BadInput: the prompt leaves no room for an answer.
        ConfigError: the budget has units that cannot be computed for these models.
    """
    policy = models["policy"]
    known = None if store is None else store.mean_length(policy.info)
    lines = []
    for role, count in calls.items():
        model = models.get(role, policy)
        if role == "policy" and not rereads:
            length = None if known is None else known[0]
            lines.append(_policy(task, count, model=model, sampling=sampling, budget=budget, length=length))
        else:
            count = count if budget.calls is None else min(count, budget.calls)
            bounds = [budget.tokens, None if model.info.context is None else count * model.info.context]
            tokens = min((bound for bound in bounds if bound is not None), default=None)
            lines.append(Line(role=role, model=model.name, calls=count, tokens=tokens))
    mean, stored = known if known is not None and not rereads else (None, 0)
    return Estimate(lines=tuple(lines), mean_length=mean, stored=stored)


def _policy(task: Task, calls: int, *, model: Model, sampling: Sampling, budget: Budget, length: float | None) -> Line:
    prompt, exact = model.count(Request(messages=task.messages, sampling=sampling))
    cap, context = sampling.max_tokens, model.info.context
    if context is not None and exact:
        if prompt >= context:
            raise BadInput(f"the prompt has {prompt} tokens, and {model.name} takes {context} in all")
        cap = min(cap, context - prompt)
    need = Need(prompt=prompt, completion=cap, info=model.info)
    most = _admitted(need, calls, budget, cap)
    expected = None if length is None else _admitted(need, calls, budget, min(cap, max(1, round(length))))
    return Line(
        role="policy",
        model=model.name,
        calls=calls,
        most=most,
        tokens=most.tokens,
        expected=expected,
        prompt_exact=exact,
    )


def _admitted(need: Need, calls: int, budget: Budget, length: int) -> Usage:
    """Return the cost of `calls` calls in a row whose answers have `length` tokens, as far as the budget goes."""
    meter = Meter(budget)
    for _ in range(calls):
        ticket = meter.ticket("policy")
        ticket.ask(need, _ignore)
        if ticket.reservation is None:
            break
        completion = min(length, ticket.reservation.completion)
        usage = Usage(calls=1, prompt_tokens=need.prompt, completion_tokens=completion)
        ticket.reservation.settle(need.info.price(usage))
    return meter.spent


def _ignore() -> None:
    """A ticket that is decided at once wakes nobody."""


def _cells(usage: Usage, units: Sequence[str]) -> tuple[str, ...]:
    counts = (usage.calls, usage.prompt_tokens, usage.completion_tokens, usage.tokens)
    amounts = ((getattr(usage, unit), _UNITS[unit][1]) for unit in units)
    return (
        *(f"{count:,}" for count in counts),
        *("" if amount is None else format(amount, form) for amount, form in amounts),
    )

"""Sleep-time compute: what thinking before the questions costs and brings, with several questions on each context.

Paper: arXiv:2504.13171 (card 37). Answers at several verbosities, with and without a sleep; the tokens of a sleep are
shared by the questions of its context, and a token of a question weighs more. With log-probabilities of the questions
the gain is shown by how predictable they were.
Differs: problems carry their context in their id ("context/number"); costs are shown in tokens written and in all.
Cost: one call for each question and curve, and one sleep for each context. Needs: a model, or recorded rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ponder.bench.curve import Point
from ponder.bench.rows import Row
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.recording import Turn
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.core.solve import solve
from ponder.core.usage import Usage
from ponder.numerics.intervals import Interval, cluster_bootstrap, paired_difference, wilson
from ponder.numerics.paired import paired_score_interval
from ponder.numerics.sleep_costs import PRICE, break_even, cost_per_question, quantiles
from ponder.strategies._predictability import Predictability
from ponder.tasks.problem import Problem

__all__ = ["NAME", "context_of", "predictabilities", "sleep", "sleep_turns"]

NAME = "sleep-time"
_SLEEPER = "sleeper"
_NOTES = (
    "Cost of a question: (tokens of the sleep + price * tokens of the questions) / questions of the context, mean over"
    " contexts. A sleep counts once for each context, whichever of its questions came first.",
    "Breaks even: questions on one context from which on the sleep has paid at this price; none where an answer after"
    " it is not shorter.",
    "Intervals, 95 %: the wider of what resampling whole contexts and what a score interval over questions says; the"
    " first alone states no doubt where all answers fare alike. Where that of a gain holds 0, neither is better on this"
    " evidence.",
)


def sleep_turns(
    model: Model,
    *,
    verbosities: Sequence[int] = (0, 2, 4),
    rounds: int = 3,
    sleeps: int = 1,
    sleep_tokens: int = 256,
    sleeper: Model | None = None,
) -> list[Turn]:
    """Return what is run: each verbosity without and with a sleep.

    Raises:
        ConfigError: no verbosity, or rounds < 1.
    """
    if not verbosities or rounds < 1:
        raise ConfigError("the study needs at least one verbosity, and rounds >= 1")
    points = []
    for level in verbosities:
        for turns in (0, rounds):
            settings = {"verbosity": level, "rounds": turns, "sleeps": sleeps, "sleep_tokens": sleep_tokens}
            name = f"{'sleep' if turns else 'no sleep'}, verbosity {level}"
            points.append(Point(curve=name, method="sleep_time", settings=settings))
    return [Turn(model=model, points=tuple(points), roles={} if sleeper is None else {_SLEEPER: sleeper})]


def context_of(problem: str) -> str:
    """Return the context that a problem's id names."""
    return problem.rpartition("/")[0] or problem


async def predictabilities(problems: Sequence[Problem], model: Model) -> dict[str, float]:
    """Return for each problem's id the mean log-probability of its question's tokens, given its context.

    Raises:
        BadInput: a problem without a context.
        AccessDenied: the model does not score text.
    """
    found = {}
    for problem in problems:
        if "context" not in problem.task.metadata or "question" not in problem.task.metadata:
            raise BadInput(f"task {problem.task.id} has no context and question of its own")
        result = await solve(problem.task, model=model, method=Predictability())
        found[problem.task.id] = float(result.candidates[0].metadata["mean"])
    return found


def sleep(
    rows: Sequence[Row],
    *,
    price: float = PRICE,
    predicted: Mapping[str, float] | None = None,
    seed: int = 0,
    facts: Sequence[str] = (),
    warning: str = "",
) -> Study:
    """Return the study of these rows.

    Args:
        rows: of the method sleep_time.
        price: of a token of a question in tokens of the sleep, > 0.
        predicted: by problem, how likely its question was.
        seed: of the resampling.
        facts: more on how they were made.
        warning: what a reader must not overlook.

    Raises:
        BadInput: no graded rows with and without a sleep.
    """
    graded = [row for row in rows if row.method == "sleep_time" and row.correct is not None]
    levels = sorted({int(row.settings["verbosity"]) for row in graded})
    pairs = {level: _pair(graded, level) for level in levels}
    pairs = {level: pair for level, pair in pairs.items() if all(pair)}
    if not pairs:
        raise BadInput("the rows hold no graded answers with and without a sleep")
    contexts = {context_of(row.problem) for row in graded}
    found = {level: _compare(*pair, price=price, seed=seed) for level, pair in pairs.items()}
    tables = [_table(found, price)]
    if predicted:
        tables.append(_by_prediction(pairs, predicted, found))
    names = [f"verbosity {level}" for level in found]
    picture = draw_shares(
        names,
        [
            Shares(label=label, values=tuple(one[key]["accuracy"] for one in found.values()))
            for label, key in (("no sleep", "base"), ("sleep", "slept"))
        ],
        title="Accuracy with and without a sleep",
        axis="how much is said at question time",
        joined=True,
    )
    return Study(
        name=NAME,
        title="Sleep-time compute",
        facts=(
            ", ".join(sorted({row.family for row in graded})),
            f"{len({row.problem for row in graded})} questions on {len(contexts)} contexts",
            f"a token at question time counts as {price:g} of the sleep",
            *facts,
        ),
        warning=warning,
        sections=(
            Section(
                title="With and without a sleep",
                pictures=(Picture(svg=picture, labels=("no sleep", "sleep"), caption="Bars: 95 % intervals."),),
                tables=tuple(tables),
            ),
        ),
        notes=_NOTES,
        data={"price": price, "levels": {str(level): _plain(one) for level, one in found.items()}},
    )


def _pair(rows: Sequence[Row], level: int) -> tuple[list[Row], list[Row]]:
    """Return the rows of a verbosity without and with a sleep, of the same problems in the same order."""
    here = [row for row in rows if row.settings["verbosity"] == level]
    sides = [
        {(row.model, row.problem, row.seed): row for row in here if bool(row.settings["rounds"]) is slept}
        for slept in (False, True)
    ]
    keys = [key for key in sides[0] if key in sides[1]]
    return [sides[0][key] for key in keys], [sides[1][key] for key in keys]


def _compare(base: Sequence[Row], slept: Sequence[Row], *, price: float, seed: int) -> dict[str, Any]:
    contexts = [context_of(row.problem) for row in base]
    right = [[float(bool(row.correct)) for row in side] for side in (base, slept)]
    sides: dict[str, Any] = {}
    for name, side, values in (("base", base, right[0]), ("slept", slept, right[1])):
        sides[name] = {
            "accuracy": _wider(cluster_bootstrap(values, contexts, seed=seed), wilson(sum(values), len(values))),
            "asked_written": _mean([_policy(row).completion_tokens for row in side]),
            "asked_all": _mean([_policy(row).tokens for row in side]),
            "slept_written": _slept(side, all_tokens=False),
            "cost_written": _cost(side, price, all_tokens=False),
            "cost_all": _cost(side, price, all_tokens=True),
        }
    gaps = [mine - other for other, mine in zip(*right, strict=True)]
    score = paired_score_interval(gaps.count(1), gaps.count(-1), len(gaps))
    sides["gain"] = _wider(paired_difference(right[1], right[0], contexts, seed=seed), score)
    sides["break_even"] = break_even(
        sides["slept"]["slept_written"], sides["base"]["asked_written"], sides["slept"]["asked_written"], price=price
    )
    sides["n"] = len(base)
    return sides


def _wider(found: Interval, other: Interval) -> Interval:
    return Interval(found.value, min(found.low, other.low), max(found.high, other.high))


def _policy(row: Row) -> Usage:
    """What the answers cost, the sleep apart."""
    return sum((used for role, used in row.usage.items() if role != _SLEEPER), Usage())


def _sleeps(rows: Sequence[Row], *, all_tokens: bool) -> dict[str, float]:
    """Return the tokens of the sleep of each context: the dearest run holds the whole of it."""
    found: dict[str, float] = {}
    for row in rows:
        used = row.usage.get(_SLEEPER, Usage())
        tokens = used.tokens if all_tokens else used.completion_tokens
        found[context_of(row.problem)] = max(found.get(context_of(row.problem), 0.0), float(tokens))
    return found


def _slept(rows: Sequence[Row], *, all_tokens: bool) -> float:
    return _mean(list(_sleeps(rows, all_tokens=all_tokens).values()))


def _cost(rows: Sequence[Row], price: float, *, all_tokens: bool) -> float:
    """Return the weighted tokens of a question, mean over questions."""
    asked: dict[str, list[float]] = {}
    for row in rows:
        used = _policy(row)
        asked.setdefault(context_of(row.problem), []).append(
            float(used.tokens if all_tokens else used.completion_tokens)
        )
    sleeps = _sleeps(rows, all_tokens=all_tokens)
    whole = sum(cost_per_question(sleeps[name], tokens, price=price) * len(tokens) for name, tokens in asked.items())
    return whole / len(rows)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _table(found: Mapping[int, Mapping[str, Any]], price: float) -> Table:
    rows = []
    for level, one in found.items():
        for key, name in (("base", "no sleep"), ("slept", "sleep")):
            side, gain = one[key], one["gain"]
            share = side["accuracy"]
            even = one["break_even"]
            rows.append(
                (
                    f"{name}, verbosity {level}",
                    str(one["n"]),
                    f"{share.value:.0%} [{100 * share.low:.0f}, {100 * share.high:.0f}]",
                    f"{side['asked_written']:,.1f}",
                    f"{side['slept_written']:,.1f}",
                    f"{side['cost_written']:,.0f}",
                    f"{side['cost_all']:,.0f}",
                    f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
                    if key == "slept"
                    else "–",
                    ("none" if even is None else f"{even:.1f}") if key == "slept" else "–",
                )
            )
    head = (
        "answers",
        "questions",
        "accuracy",
        "written a question",
        "written in the sleep",
        f"cost a question, written x {price:g}",
        "the same, all tokens",
        "gain, points",
        "breaks even at",
    )
    return Table(title="Costs shared by the questions of a context", head=head, rows=tuple(rows))


def _by_prediction(
    pairs: Mapping[int, tuple[list[Row], list[Row]]],
    predicted: Mapping[str, float],
    found: Mapping[int, dict[str, Any]],
) -> Table:
    """Return the gain by fifths of predictability, and keep it beside what was found."""
    rows = []
    for level, (base, slept) in pairs.items():
        known = [(a, b) for a, b in zip(base, slept, strict=True) if a.problem in predicted]
        parts = quantiles([predicted[a.problem] for a, _ in known], 5)
        gaps = []
        for part in range(5):
            here = [
                float(bool(b.correct)) - float(bool(a.correct))
                for (a, b), p in zip(known, parts, strict=True)
                if p == part
            ]
            gaps.append(sum(here) / len(here) if here else None)
        found[level]["gain_by_prediction"] = gaps
        rows.append((f"verbosity {level}", *("–" if gap is None else f"{100 * gap:+.1f}" for gap in gaps)))
    head = ("gain, points", "least predictable", "2nd fifth", "3rd", "4th", "most predictable")
    return Table(title="Gain by how predictable the question was", head=head, rows=tuple(rows))


def _plain(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value._asdict()
        if hasattr(value, "_asdict")
        else {k: v._asdict() if hasattr(v, "_asdict") else v for k, v in value.items()}
        if isinstance(value, Mapping)
        else value
        for key, value in one.items()
    }

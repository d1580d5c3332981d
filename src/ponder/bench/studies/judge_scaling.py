"""Judge scaling: does a judge of pairs get better when its thought is made longer by "Wait", round by round?

Paper: Chan et al. 2025, arXiv:2505.11875 (J1, card 08): simple test-time scaling of judges, with its finding that the
trend shows up after reinforcement learning, and that judges without it may get worse. Models are compared side by side
(an ordinary judge, one that was fine-tuned, one that was trained by reinforcement) on the same pairs and rounds.
Differs: the recipe is not published, so the rounds are those of budget forcing (card 07); every pair is shown in both
orders; trend and changes of mind carry intervals over pairs.
Cost: for each pair and order one thought with the most rounds, and a verdict after each round (with a response store;
else each round is thought anew). Needs: a model that continues a prefix, or recorded rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ponder.bench.curve import Point
from ponder.bench.rows import Row
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.recording import Turn
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.numerics.intervals import Interval, cluster_bootstrap, paired_difference
from ponder.numerics.judging import Letter, Rounds, consistent, macro_mean, rounds_of
from ponder.tasks.preferences import turned
from ponder.tasks.problem import Problem

__all__ = ["NAME", "both_orders", "judge_scaling", "judge_turns"]

NAME = "judge-scaling"
METHOD = "budget_forcing"
_LEAST = 10  # pairs below which resampling says too little for a finding

_NOTES = (
    "Accuracy with 95 % limits over pairs, both orders of a pair together. A verdict that cannot be read counts as"
    " wrong, and is counted.",
    "The trend is the accuracy after the last round minus that after none, in points, with limits over the same pairs;"
    " the slope is that of the least-squares line. Another study may mean a relative gain by the same word.",
    "A judge that always names the answer shown first is right in half of all cases: look at the share of pairs whose"
    " two orders agree.",
    "Unchanged verdicts are no sign of quality: a judge that talks itself into wrong verdicts becomes stable too.",
    "The mean over subsets weighs each subset alike.",
)


class _Judged(NamedTuple):
    """One presentation of a pair, judged after each round."""

    pair: str
    subset: str
    label: Letter
    verdicts: tuple[Letter | None, ...]
    thinking: tuple[int, ...]
    problem: str
    run: tuple[str, int, int]


def both_orders(problems: Sequence[Problem]) -> list[Problem]:
    """Return each pair in the order given and in the other one.

    Raises:
        BadInput: a problem is no pair of answers.
    """
    return [shown for problem in problems for shown in (problem, turned(problem))]


def judge_turns(
    models: Sequence[Model],
    rounds: int = 4,
    *,
    thinking: int = 7000,
    cue: str = "Wait",
    verdict: int = 512,
    markers: str = "think",
) -> list[Turn]:
    """Return what is run: each judge with 0, 1, ... forced rounds.

    Args:
        models: judges, with different names.
        rounds: the most, >= 0.
        thinking: most tokens of a thought.
        cue: the text that it is continued behind.
        verdict: most tokens of the verdict.
        markers: how the judges set their thinking off.

    Raises:
        ConfigError: no judge, equal names, or settings that budget forcing refuses.
    """
    if not models or len({model.name for model in models}) < len(models) or rounds < 0:
        raise ConfigError("the study needs rounds >= 0 and judges with different names")
    points = tuple(
        Point(
            curve=f"{cues} rounds",
            method=METHOD,
            settings={"thinking": thinking, "cues": cues, "cue": cue, "answer": verdict, "markers": markers},
        )
        for cues in range(rounds, -1, -1)
    )
    for point in points:
        point.identity()
    return [Turn(model=model, points=points) for model in models]


def judge_scaling(
    rows: Sequence[Row],
    problems: Sequence[Problem],
    *,
    seed: int = 0,
    facts: Sequence[str] = (),
    warning: str = "",
) -> Study:
    """Return the study of these rows.

    Args:
        rows: of budget forcing on pairs; others are left out.
        problems: that they are of; the other order of each is known as well.
        seed: of resampling.
        facts: more on how the rows were made, for the page.
        warning: what a reader must not overlook.

    Raises:
        BadInput: no such rows of these problems, or problems that are no pairs.
    """
    known = {problem.task.id: problem for problem in both_orders(problems)}
    by_model: dict[str, list[Row]] = {}
    for row in rows:
        if row.method == METHOD and "cues" in row.settings and row.problem in known:
            by_model.setdefault(row.model, []).append(row)
    if not by_model:
        raise BadInput(
            "the rows hold no verdicts on these pairs: give the family, count and seed, or the file, that they were"
            " recorded with"
        )
    sections, data = [], []
    for model, members in by_model.items():
        judged, left_out = _judged(members, known)
        if not judged:
            raise BadInput(f"no pair has a verdict of {model} after every round")
        found = rounds_of([one.verdicts for one in judged], [one.label for one in judged])
        sections.append(_section(model, judged, found, left_out, seed))
        data.append(_data(model, judged, found, left_out, seed))
    if len(data) > 1:
        sections.insert(0, _compared(data))
    return Study(
        name=NAME,
        title="Judge scaling",
        facts=(f"{len({one['pair'] for found in data for one in found['verdicts']})} pairs", *facts),
        warning=warning,
        sections=tuple(sections),
        notes=_NOTES,
        data={"models": data},
    )


def _judged(rows: Sequence[Row], known: Mapping[str, Problem]) -> tuple[list[_Judged], int]:
    """Return the presentations that were judged after every round, and how many lack one."""
    found: dict[tuple[str, tuple[str, int, int]], dict[int, Row]] = {}
    copies: dict[tuple[str, str, int, int], int] = {}
    for row in rows:
        cues = int(row.settings["cues"])
        how = json.dumps({name: value for name, value in row.settings.items() if name != "cues"}, sort_keys=True)
        place = (row.problem, how, row.seed, cues)
        copies[place] = copies.get(place, 0) + 1
        found.setdefault((row.problem, (how, row.seed, copies[place])), {})[cues] = row
    every = sorted({cues for by_round in found.values() for cues in by_round})
    judged, left_out = [], 0
    for (name, run), by_round in sorted(found.items()):
        if len(by_round) < len(every):
            left_out += 1
            continue
        problem = known[name]
        judged.append(
            _Judged(
                pair=str(problem.task.metadata["pair"]),
                subset=str(problem.task.metadata["subset"]),
                label="A" if problem.reference == "[[A]]" else "B",
                verdicts=tuple(_letter(by_round[cues].answer) for cues in every),
                thinking=tuple(sum(u.thinking_tokens for u in by_round[cues].usage.values()) for cues in every),
                problem=name,
                run=run,
            )
        )
    return judged, left_out


def _letter(answer: str | None) -> Letter | None:
    return "A" if answer == "A" else "B" if answer == "B" else None


def _right(judged: Sequence[_Judged], at: int) -> list[float]:
    return [float(one.verdicts[at] == one.label) for one in judged]


def _accuracy(judged: Sequence[_Judged], at: int, seed: int) -> Interval:
    return cluster_bootstrap(_right(judged, at), [one.pair for one in judged], seed=seed)


def _trend(judged: Sequence[_Judged], seed: int) -> Interval:
    return paired_difference(_right(judged, -1), _right(judged, 0), [one.pair for one in judged], seed=seed)


def _agreement(judged: Sequence[_Judged], at: int) -> float | None:
    """Return the share of pairs whose two orders name the same answer; None where none has both orders."""
    orders: dict[tuple[str, tuple[str, int, int]], list[_Judged]] = {}
    for one in judged:
        orders.setdefault((one.pair, one.run), []).append(one)
    both = [(a, b) for found in orders.values() if len(found) == 2 for a, b in [found] if a.label != b.label]
    if not both:
        return None
    return sum(consistent(a.verdicts[at], b.verdicts[at]) for a, b in both) / len(both)


def _by_subset(judged: Sequence[_Judged], at: int) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for one, right in zip(judged, _right(judged, at), strict=True):
        found.setdefault(one.subset or "all", []).append(right)
    return {name: _mean(values) for name, values in sorted(found.items())}


def _section(model: str, judged: Sequence[_Judged], found: Rounds, left_out: int, seed: int) -> Section:
    count = len(found.accuracies)
    shares = [_accuracy(judged, at, seed) for at in range(count)]
    picture = Picture(
        svg=draw_shares(
            [str(at) for at in range(count)],
            [Shares(label="accuracy", values=tuple(shares)), *_agreement_series(judged, count)],
            title=f"Verdicts of {model} by round",
            axis="forced rounds",
            joined=True,
        ),
        labels=("accuracy", *(one.label for one in _agreement_series(judged, count))),
        caption="Accuracy by forced round, with 95 % limits over pairs, and the share of pairs whose orders agree.",
    )
    subsets = [_by_subset(judged, at) for at in range(count)]
    tables = [
        Table(
            title="By round",
            head=("rounds", "accuracy", "mean over subsets", "orders agree", "unread", "thinking tokens"),
            rows=tuple(
                (
                    str(at),
                    f"{share.value:.1%} [{100 * share.low:.0f}, {100 * share.high:.0f}]",
                    f"{macro_mean(list(subsets[at].values())):.1%}",
                    _percent(_agreement(judged, at)),
                    str(found.unread[at]),
                    f"{_mean([one.thinking[at] for one in judged]):.1f}",
                )
                for at, share in enumerate(shares)
            ),
        ),
        Table(
            title="What each round changed",
            head=("from, to", "wrong to right", "right to wrong", "unchanged"),
            rows=tuple(
                (f"{at}, {at + 1}", str(gain), str(loss), f"{same:.1%}")
                for at, (gain, loss, same) in enumerate(
                    zip(found.to_right, found.to_wrong, found.unchanged, strict=True)
                )
            ),
        ),
        Table(
            title="Accuracy by subset",
            head=("subset", *(f"round {at}" for at in range(count))),
            rows=tuple((name, *(f"{by_round[name]:.1%}" for by_round in subsets)) for name in subsets[0]),
        ),
    ]
    return Section(
        title=f"Judge {model}",
        pictures=(picture,),
        lines=tuple(_said(judged, found, left_out, seed)),
        tables=tuple(table for table in tables if table.rows),
    )


def _agreement_series(judged: Sequence[_Judged], count: int) -> list[Shares]:
    values = [_agreement(judged, at) for at in range(count)]
    if any(value is None for value in values):
        return []
    return [Shares(label="orders agree", values=tuple(Interval(v, v, v) for v in values if v is not None))]


def _said(judged: Sequence[_Judged], found: Rounds, left_out: int, seed: int) -> list[str]:
    out = [f"{left_out} presentations lack a verdict after some round and are not counted"] if left_out else []
    if len(found.accuracies) < 2:
        return [*out, "one number of rounds: there is no trend to see"]
    trend, last = _trend(judged, seed), len(found.accuracies) - 1
    told = f"{100 * trend.value:+.1f} points"
    if trend.low != trend.high:  # else resampling states no doubt at all
        told += f" [{100 * trend.low:+.1f}, {100 * trend.high:+.1f}]"
    if len({one.pair for one in judged}) < _LEAST:
        out.append(f"fewer than {_LEAST} pairs: too few to call it a trend: {told} from no round to {last}")
    elif trend.low == trend.high:
        out.append(f"every pair changes alike: {told} from no round to {last}")
    elif trend.low > 0:
        out.append(f"the judge gets better by thinking on: {told} from no round to {last}")
    elif trend.high < 0:
        out.append(f"the judge gets worse by thinking on: {told} from no round to {last}")
    else:
        out.append(f"no trend that these pairs can show: {told} from no round to {last}")
    out.append(f"slope {100 * found.slope:+.2f} points a round")
    out.append(f"changes of mind: {sum(found.to_right)} from wrong to right, {sum(found.to_wrong)} from right to wrong")
    return out


def _compared(data: Sequence[Mapping[str, Any]]) -> Section:
    """Return the judges side by side."""
    rows = tuple(
        (
            str(one["model"]),
            f"{one['rounds'][0]['accuracy'][0]:.1%}",
            f"{one['rounds'][-1]['accuracy'][0]:.1%}",
            "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * value for value in one["trend"])),
            f"{100 * one['slope']:+.2f}",
            f"{one['to_right']} / {one['to_wrong']}",
        )
        for one in data
    )
    head = ("judge", "no round", "last round", "trend, points", "slope", "to right / to wrong")
    shown = {(len(one["rounds"]), *sorted(found["problem"] for found in one["verdicts"])) for one in data}
    lines = () if len(shown) == 1 else ("the judges did not see the same pairs and rounds: compare them with care",)
    return Section(title="Judges side by side", lines=lines, tables=(Table(head=head, rows=rows),))


def _data(model: str, judged: Sequence[_Judged], found: Rounds, left_out: int, seed: int) -> dict[str, Any]:
    return {
        "model": model,
        "left_out": left_out,
        "rounds": [
            {
                "rounds": at,
                "accuracy": list(_accuracy(judged, at, seed)),
                "subsets": _by_subset(judged, at),
                "macro": macro_mean(list(_by_subset(judged, at).values())),
                "orders_agree": _agreement(judged, at),
                "unread": found.unread[at],
                "thinking_tokens": _mean([one.thinking[at] for one in judged]),
            }
            for at in range(len(found.accuracies))
        ],
        "trend": list(_trend(judged, seed)),
        "slope": found.slope,
        "to_right": sum(found.to_right),
        "to_wrong": sum(found.to_wrong),
        "unchanged": list(found.unchanged),
        "verdicts": [
            {"pair": one.pair, "problem": one.problem, "label": one.label, "verdicts": list(one.verdicts)}
            for one in judged
        ],
    }


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0

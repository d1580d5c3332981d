"""Multi-agent debate: agents times rounds at an equal number of answers, by difficulty, scale and diversity.

Paper: arXiv:2505.22960 (card 09). One budget of G answers is spent as a vote (agents only), as self-refinement (rounds
only), and as debates in between; by difficulty of the problem, for several models (scale), and with agents of several
models or personas (diversity). On the family `safety` wrong means that a rule was broken.
Differs: G is what the caller says (the paper has 16); equal answers are not equal tokens, so tokens are printed.
Cost: G calls for each split, model and problem; the vote's samples are also the first rounds of agents without persona.
Needs: a model, or recorded rows.
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
from ponder.core.result import total
from ponder.numerics.debate import flips, reread
from ponder.numerics.intervals import wilson
from ponder.numerics.paired import mcnemar, paired_score_interval

__all__ = ["NAME", "debate", "debate_turns", "splits"]

NAME = "multi-agent-debate"
_VOTE = "self-consistency"
_NOTES = (
    "All curves of a model spend the same number of answers, not of tokens: a prompt of a later round holds the answers"
    " of the round before. Read accuracy beside the tokens.",
    "Against the vote: right answers only of the debate minus only of the vote, over all problems, with the score"
    " interval and the exact McNemar test. Where the interval holds 0 neither is better on this evidence.",
    "By round: the share of agents' answers that are right. On the family `safety`, one minus it is the rate of"
    " broken rules (of attacks: their success).",
    "Given k right at first: uses gold, a finding and no rule. Runs with a failed reply are left out.",
    "A mixed group has agents of all models in turn; tokens of different models are not added.",
)


def splits(answers: int) -> list[tuple[int, int]]:
    """Return (agents, rounds) with agents * rounds = `answers`: all agents first, one agent last.

    Raises:
        ConfigError: answers < 2.
    """
    if answers < 2:
        raise ConfigError("a debate needs at least 2 answers")
    return [(answers // rounds, rounds) for rounds in range(1, answers + 1) if answers % rounds == 0]


def debate_turns(
    models: Sequence[Model],
    *,
    answers: int = 16,
    memory: str = "markov",
    mixed: bool = True,
    personas: Sequence[str] = (),
) -> list[Turn]:
    """Return what is run.

    Args:
        models: policies with different names.
        answers: of each curve, >= 2.
        memory: of the debates.
        mixed: with several models, also a debate among them.
        personas: with any, also a debate of the first model's agents with these in turn.

    Raises:
        ConfigError: no model, doubled names, or too few answers.
    """
    names = [model.name for model in models]
    if not names or len({*names}) < len(names):
        raise ConfigError("the study needs models with different names")

    def point(agents: int, rounds: int, curve: str, **settings: Any) -> Point:
        given = {"agents": agents, "rounds": rounds, "memory": memory, **settings}
        return Point(curve=curve, method="multi_agent_debate", settings=given)

    own = splits(answers)
    vote = Point(curve=_VOTE, method="self_consistency", settings={"n": answers, "early_stop": "none"})
    alone = [point(m, t, _name(m, t)) for m, t in own if t > 1]
    turns = [Turn(model=model, points=(vote, *alone)) for model in models]
    square = min((pair for pair in own if 1 < pair[0] < answers), key=lambda pair: abs(pair[0] - pair[1]), default=None)
    if square is not None and mixed and len(models) > 1:
        roles = {f"agent{k}": model for k, model in enumerate(models[1:], 2)}
        shared = point(*square, f"{_name(*square)}, mixed models", models=("policy", *roles))
        turns.append(Turn(model=models[0], points=(shared,), roles=roles))
    if square is not None and personas:
        shaped = point(*square, f"{_name(*square)}, personas", personas=tuple(personas))
        turns.append(Turn(model=models[0], points=(shaped,)))
    return turns


def _name(agents: int, rounds: int) -> str:
    return f"self-refinement x{rounds}" if agents == 1 else f"debate {agents}x{rounds}"


def debate(rows: Sequence[Row], *, facts: Sequence[str] = (), warning: str = "") -> Study:
    """Return the study of these rows.

    Args:
        rows: of votes and debates.
        facts: more on how they were made.
        warning: what a reader must not overlook.

    Raises:
        BadInput: no graded row of a debate.
    """
    graded = [
        row for row in rows if row.correct is not None and row.method in ("self_consistency", "multi_agent_debate")
    ]
    if not any(row.method == "multi_agent_debate" for row in graded):
        raise BadInput("the rows hold no graded debates")
    models = list(dict.fromkeys(row.model for row in graded))
    data: dict[str, Any] = {"models": {}}
    sections = []
    for model in models:
        section, found = _model(model, [row for row in graded if row.model == model])
        sections.append(section)
        data["models"][model] = found
    return Study(
        name=NAME,
        title="Multi-agent debate",
        facts=(
            ", ".join(sorted({row.family for row in graded})),
            f"{len({row.problem for row in graded})} problems",
            *facts,
        ),
        warning=warning,
        sections=tuple(sections),
        notes=_NOTES,
        data=data,
    )


def _model(model: str, rows: Sequence[Row]) -> tuple[Section, dict[str, Any]]:
    curves: dict[str, list[Row]] = {}
    for row in rows:
        curves.setdefault(row.curve, []).append(row)
    vote = {(row.problem, row.seed): bool(row.correct) for row in curves.get(_VOTE, [])}
    levels = sorted({row.level for row in rows if row.level is not None})
    main, data = [], {}
    for curve, found in curves.items():
        against = _against(found, vote) if curve != _VOTE else None
        usage = [total(row.usage) for row in found]
        share = wilson(sum(bool(row.correct) for row in found), len(found))
        several = len({name for row in found for name in row.roles.values()} - {model}) > 0
        tokens = [
            sum(u.prompt_tokens for u in usage) / len(usage),
            sum(u.completion_tokens for u in usage) / len(usage),
        ]
        data[curve] = {
            "n": len(found),
            "accuracy": share._asdict(),
            "prompt_tokens": None if several else tokens[0],
            "completion_tokens": None if several else tokens[1],
            "calls": sum(u.calls for u in usage) / len(usage),
            "against_vote": against,
            **_talks(found),
        }
        main.append(
            (
                curve,
                f"{share.value:.0%} [{100 * share.low:.0f}, {100 * share.high:.0f}]",
                *(_at_level(found, level) for level in levels),
                f"{data[curve]['calls']:.1f}",
                *(["–", "–"] if several else [f"{value:,.0f}" for value in tokens]),
                _reread(found[0]),
                "–" if against is None else _spell(against),
            )
        )
    head = (
        "curve",
        "accuracy",
        *(f"level {level:g}" for level in levels),
        "calls",
        "tokens read",
        "tokens written",
        "answers read again",
        "against the vote, points",
    )
    tables = [Table(title="At an equal number of answers", head=head, rows=tuple(main))]
    tables += _round_tables(data)
    names = [str(f"level {level:g}") for level in levels] or ["all"]
    shown = list(curves)[:6]
    picture = draw_shares(
        names,
        [
            Shares(
                label=curve,
                values=tuple(
                    _share([r for r in curves[curve] if not levels or r.level == level]) for level in levels or [0]
                ),
            )
            for curve in shown
        ],
        title=f"Accuracy of {model} by difficulty",
        axis="declared difficulty",
        joined=True,
    )
    caption = "By declared difficulty. Bars: 95 % Wilson intervals."
    section = Section(
        title=f"Agents of {model}",
        pictures=(Picture(svg=picture, labels=tuple(shown), caption=caption),),
        tables=tuple(tables),
    )
    return section, data


def _share(rows: Sequence[Row]) -> Any:
    return wilson(sum(bool(row.correct) for row in rows), len(rows)) if rows else None


def _at_level(rows: Sequence[Row], level: float) -> str:
    share = _share([row for row in rows if row.level == level])
    return "–" if share is None else f"{share.value:.0%}"


def _reread(row: Row) -> str:
    if row.method != "multi_agent_debate":
        return "0"
    return str(reread(row.settings["agents"], row.settings["rounds"], row.settings["memory"]))


def _against(rows: Sequence[Row], vote: Mapping[tuple[str, int], bool]) -> dict[str, Any] | None:
    pairs = [(bool(row.correct), vote[row.problem, row.seed]) for row in rows if (row.problem, row.seed) in vote]
    if not pairs:
        return None
    won, lost = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    gap = paired_score_interval(won, lost, len(pairs))
    return {"won": won, "lost": lost, "n": len(pairs), "difference": gap._asdict(), "p": mcnemar(won, lost)}


def _spell(found: Mapping[str, Any]) -> str:
    gap = found["difference"]
    return f"{100 * gap['value']:+.1f} [{100 * gap['low']:+.1f}, {100 * gap['high']:+.1f}], p {found['p']:.2g}"


def _talks(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what whole talks show: shares right by round, flips between rounds, the outcome given k right at first."""
    whole: list[tuple[list[list[bool]], bool]] = []
    for row in rows:
        grades = () if row.evidence is None else row.evidence.grades
        agents, rounds = row.settings.get("agents", 0), row.settings.get("rounds", 0)
        if row.method == "multi_agent_debate" and agents and len(grades) == agents * rounds and None not in grades:
            by_round = [[bool(g) for g in grades[t * agents : (t + 1) * agents]] for t in range(rounds)]
            whole.append((by_round, bool(row.correct)))
    if not whole:
        return {"talks": 0, "by_round": [], "flips": [], "given_right": {}}
    count = len(whole[0][0])
    joined = [[grade for by_round, _ in whole for grade in by_round[t]] for t in range(count)]
    given: dict[int, list[bool]] = {}
    for by_round, right in whole:
        given.setdefault(sum(by_round[0]), []).append(right)
    return {
        "talks": len(whole),
        "by_round": [sum(row) / len(row) for row in joined],
        "flips": [found._asdict() for found in flips(joined)],
        "given_right": {k: {"n": len(v), "right": sum(v) / len(v)} for k, v in sorted(given.items())},
    }


def _round_tables(data: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    talks = {curve: found for curve, found in data.items() if found["talks"]}
    if not talks:
        return []
    rounds = max(len(found["by_round"]) for found in talks.values())
    by_round = [
        (curve, *(f"{found['by_round'][t]:.0%}" if t < len(found["by_round"]) else "–" for t in range(rounds)))
        for curve, found in talks.items()
    ]
    changed = [
        (
            f"{curve}, round {t} to {t + 1}",
            "–" if one["lost"] is None else f"{one['lost']:.0%} of {one['of_right']}",
            "–" if one["won"] is None else f"{one['won']:.0%} of {one['of_wrong']}",
        )
        for curve, found in talks.items()
        for t, one in enumerate(found["flips"], 1)
    ]
    given = [
        (f"{curve}, {k} right at first", str(one["n"]), f"{one['right']:.0%}")
        for curve, found in talks.items()
        for k, one in found["given_right"].items()
    ]
    return [
        Table(
            title="Agents' answers that are right, by round",
            head=("curve", *(f"round {t}" for t in range(1, rounds + 1))),
            rows=tuple(by_round),
        ),
        Table(title="Changes", head=("between", "right to wrong", "wrong to right"), rows=tuple(changed)),
        Table(title="Given how many were right at first", head=("curve", "problems", "right"), rows=tuple(given)),
    ]

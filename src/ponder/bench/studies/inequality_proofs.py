"""Inequality proofs: how many answers are right, and how many of the proofs behind them are sound by all four judges.

Paper: Sheng et al. 2025, arXiv:2506.07927 (IneqMath, card 19): a solution counts only where its final answer is right
and none of four judges finds a flaw (overall); the gap between answers and overall is the finding. Step accuracies are
over all solutions, whatever their answer.
Differs: every solver is judged by the same judge model, whose prompts are ours. A judgement that cannot be read leaves
a solution undecided unless another judge objects or the answer is wrong; it counts as not passed, and is counted.
Cost: for each problem and solver one run of its method, and one call of the role "judge" for each flaw (with a response
store; else the solution is drawn anew for each). Needs: a model, or recorded rows; the extra `math` to compare bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ponder.bench.curve import Point
from ponder.bench.rows import Row
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.recording import Turn
from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model
from ponder.numerics.inequality import overall, score_table
from ponder.numerics.intervals import Interval, cluster_bootstrap, paired_difference, wilson
from ponder.tasks.problem import Problem
from ponder.verifiers.inequality_judges import FLAWS

__all__ = ["NAME", "inequality_proofs", "inequality_turns"]

NAME = "inequality-proofs"
VERIFIER = "inequality_judges"

# As the paper calls the shares of solutions without each flaw.
_SHORT = {"toy": "NTC", "gap": "NLG", "approximation": "NAE", "computation": "NCE"}
_SPELLED = {
    "toy": "no toy case",
    "gap": "no logical gap",
    "approximation": "no approximation",
    "computation": "no false computation",
}
_MEASURES = ("overall", "answer", *FLAWS)

_NOTES = (
    "Overall: the final answer is right and no judge objects. Answer: the final answer is right. NTC, NLG, NAE, NCE:"
    " the share of all solutions in which a judge finds no toy case taken for a proof, no logical gap, no decimal in"
    " place of an exact value, no equation between numbers that is false.",
    "A judgement that cannot be read is not a pass, and is counted as unread. Limits: 95 %, Wilson's, or over resampled"
    " problems where there are several runs of each.",
    "A solution without an answer that can be read (empty) passes most judges: read their shares together with the"
    " answers.",
    "Judges share blind spots: symmetry taken for proof, a loss of generality that is not argued, a constant given only"
    " as a decimal, arithmetic that is not listed. How good a judge is has to be measured on labelled solutions.",
)


class _Solution(NamedTuple):
    """One solution with what is said of it; None is a judgement that cannot be read."""

    problem: str
    kind: str
    answer: bool
    flaws: tuple[bool | None, ...]
    empty: bool

    @property
    def overall(self) -> bool | None:
        """All five together."""
        return overall([self.answer, *self.flaws])

    def measure(self, name: str) -> bool | None:
        """Return one of `_MEASURES`."""
        if name == "overall":
            return self.overall
        return self.answer if name == "answer" else self.flaws[FLAWS.index(name)]


def inequality_turns(
    models: Sequence[Model],
    *,
    judge: Model | None = None,
    method: str = "best_of_n",
    settings: Mapping[str, Any] | None = None,
    judge_tokens: int = 1024,
) -> list[Turn]:
    """Return what is run: each solver once for each flaw, so that the judges' verdicts can be told apart.

    Args:
        models: solvers, with different names.
        judge: judges all of them; by default each judges itself, which flatters it.
        method: that takes a verifier; its chosen answer is what counts.
        settings: of the method; by default one sample of best_of_n.
        judge_tokens: most tokens of a judgement.

    Raises:
        ConfigError: no solver, equal names, or settings that cannot be.
    """
    if not models or len({model.name for model in models}) < len(models):
        raise ConfigError("the study needs solvers with different names")
    chosen = {"n": 1} if settings is None and method == "best_of_n" else dict(settings or {})
    points = tuple(
        Point(
            curve=flaw,
            method=method,
            settings=chosen,
            verifier=VERIFIER,
            judging={"flaws": (flaw,), "max_tokens": judge_tokens},
        )
        for flaw in FLAWS
    )
    for point in points:
        point.identity()
    if points[0].n > 1:
        raise ConfigError("several samples would be chosen by one judge at a time: the study judges single solutions")
    roles = {} if judge is None else {"judge": judge}
    return [Turn(model=model, points=points, roles=roles) for model in models]


def inequality_proofs(
    rows: Sequence[Row],
    problems: Sequence[Problem],
    *,
    seed: int = 0,
    facts: Sequence[str] = (),
    warning: str = "",
) -> Study:
    """Return the study of these rows.

    Args:
        rows: of solvers judged for one flaw at a time, with their evidence; others are left out.
        problems: that they are of, for their kind (bound or relation).
        seed: of resampling.
        facts: more on how the rows were made, for the page.
        warning: what a reader must not overlook.

    Raises:
        BadInput: the rows hold no solution that all four judges have seen.
    """
    kinds = {problem.task.id: str(problem.task.metadata.get("kind", problem.task.answer)) for problem in problems}
    by_model: dict[str, list[Row]] = {}
    for row in rows:
        if row.verifier == VERIFIER and len(row.judging.get("flaws", ())) == 1 and row.problem in kinds:
            by_model.setdefault(row.model, []).append(row)
    found = {model: _solutions(members, kinds) for model, members in by_model.items()}
    if not any(solutions for solutions, _ in found.values()):
        raise BadInput(
            "the rows hold no solution of these problems that all four judges have seen: give the family, count and"
            " seed, or the file, that they were recorded with"
        )
    left = sum(out for _, out in found.values())
    dropped = (
        f"{left} solutions were not seen by all four judges in one and the same text and are left out" if left else ""
    )
    shown = {model: solutions for model, (solutions, _) in found.items() if solutions}
    return Study(
        name=NAME,
        title="Inequality proofs",
        facts=(f"{len({s.problem for solutions in shown.values() for s in solutions})} problems", *facts),
        warning=". ".join(filter(None, (warning, dropped))),
        sections=tuple(_section(model, solutions, seed) for model, solutions in shown.items()),
        notes=_NOTES,
        data={"left_out": left, "models": [_data(model, solutions, seed) for model, solutions in shown.items()]},
    )


def _solutions(rows: Sequence[Row], kinds: Mapping[str, str]) -> tuple[list[_Solution], int]:
    """Join the rows of each solution by its flaws; return those that are whole, and how many are not.

    Where its answer is not the same in all of its rows, it was drawn anew: the judges saw different texts.
    """
    joined: dict[tuple[str, int, int], dict[str, Row]] = {}
    copies: dict[tuple[str, int, str], int] = {}
    for row in rows:
        (flaw,) = row.judging["flaws"]
        place = (row.problem, row.seed, str(flaw))
        copies[place] = copies.get(place, 0) + 1
        joined.setdefault((row.problem, row.seed, copies[place]), {})[str(flaw)] = row
    solutions, left = [], 0
    for (problem, _, _), by_flaw in sorted(joined.items()):
        if any(flaw not in by_flaw for flaw in FLAWS):
            left += 1
            continue
        members = [by_flaw[flaw] for flaw in FLAWS]
        if len({member.answer for member in members}) > 1:
            left += 1
            continue
        solutions.append(
            _Solution(
                problem=problem,
                kind=kinds[problem],
                answer=bool(members[0].correct),
                flaws=tuple(map(_sound, members)),
                empty=members[0].answer is None,
            )
        )
    return solutions, left


def _sound(row: Row) -> bool | None:
    """Return what the one judge of a row says of its one solution."""
    scores = () if row.evidence is None else row.evidence.scores
    return None if len(scores) != 1 or scores[0] is None else scores[0] > 0.5


def _share(solutions: Sequence[_Solution], name: str, seed: int) -> Interval | None:
    if not solutions:
        return None
    values = [float(solution.measure(name) is True) for solution in solutions]
    problems = [solution.problem for solution in solutions]
    if len(set(problems)) == len(problems):
        return wilson(sum(values), len(values))
    return cluster_bootstrap(values, problems, seed=seed)


def _groups(solutions: Sequence[_Solution]) -> dict[str, list[_Solution]]:
    groups = {"all": list(solutions)}
    for kind in ("bound", "relation"):
        groups[kind] = [solution for solution in solutions if solution.kind == kind]
    return groups


def _section(model: str, solutions: Sequence[_Solution], seed: int) -> Section:
    groups = _groups(solutions)
    names = [_label(name) for name in _MEASURES]
    shown = {name: members for name, members in groups.items() if members}
    series = [
        Shares(label=group, values=tuple(_share(members, name, seed) for name in _MEASURES))
        for group, members in shown.items()
        if group == "all" or len(shown) > 2
    ]
    picture = Picture(
        svg=draw_shares(names, series, title=f"Solutions of {model} that pass", axis="judged for", joined=False),
        labels=tuple(one.label for one in series),
        caption="Share of solutions that pass, with 95 % limits.",
    )
    table = Table(
        head=("solutions", "n", *names, "unread", "empty"),
        rows=tuple(
            (
                group,
                str(len(members)),
                *(_spell(_share(members, name, seed)) for name in _MEASURES),
                str(sum(verdict is None for solution in members for verdict in solution.flaws)),
                str(sum(solution.empty for solution in members)),
            )
            for group, members in shown.items()
        ),
    )
    return Section(title=f"Solver {model}", pictures=(picture,), lines=tuple(_said(solutions, seed)), tables=(table,))


def _said(solutions: Sequence[_Solution], seed: int) -> list[str]:
    right = [solution for solution in solutions if solution.answer]
    sound = sum(solution.overall is True for solution in solutions)
    drop = _drop(solutions, seed)
    out = [
        f"{len(right)} of {len(solutions)} final answers are right, and {sound} solutions pass all five judges:"
        f" {100 * drop.value:+.1f} points [{100 * drop.low:+.1f}, {100 * drop.high:+.1f}]"
    ]
    failed = {flaw: sum(s.measure(flaw) is False for s in solutions) for flaw in FLAWS}
    worst = max(failed, key=lambda flaw: failed[flaw])
    if failed[worst]:
        out.append(f"most common flaw: {_SPELLED[worst].removeprefix('no ')}, in {failed[worst]} solutions")
    undecided = sum(solution.overall is None for solution in solutions)
    if undecided:
        out.append(f"{undecided} solutions are undecided, since a judgement cannot be read; they do not pass")
    return out


def _drop(solutions: Sequence[_Solution], seed: int) -> Interval:
    return paired_difference(
        [float(s.overall is True) for s in solutions],
        [float(s.answer) for s in solutions],
        [s.problem for s in solutions],
        seed=seed,
    )


def _data(model: str, solutions: Sequence[_Solution], seed: int) -> dict[str, Any]:
    items = [
        {"split": "all", "type": s.kind, "correct": s.answer, "answer_sentence": "" if s.empty else "given"}
        for s in solutions
    ]
    return {
        "model": model,
        "shares": {
            group: {name: list(share) for name in _MEASURES if (share := _share(members, name, seed)) is not None}
            for group, members in _groups(solutions).items()
        },
        "drop": list(_drop(solutions, seed)),
        "answers": score_table(items)["all"],
        "solutions": [
            {
                "problem": s.problem,
                "kind": s.kind,
                "answer": s.answer,
                **dict(zip(FLAWS, s.flaws, strict=True)),
                "overall": s.overall,
            }
            for s in solutions
        ],
    }


def _label(name: str) -> str:
    return _SHORT.get(name, name)


def _spell(share: Interval | None) -> str:
    return "–" if share is None else f"{share.value:.1%} [{100 * share.low:.0f}, {100 * share.high:.0f}]"

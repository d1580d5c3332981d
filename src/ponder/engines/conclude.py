"""From the leaves of a step search to the result of the run.

Source: the rules of Liu et al. 2025, arXiv:2502.06703 (card 13); weighted best-of-N of Snell et al. 2024,
arXiv:2408.03314 (card 04) is the rule "prm_last_vote". Only finished answers are candidates; where nothing is finished
(a budget that ended early) the best unfinished one is returned, marked as such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from ponder.core.candidate import Candidate
from ponder.core.context import AnswerType, Context
from ponder.core.model import Finish
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.core.usage import Usage
from ponder.engines.beam import ranked
from ponder.engines.step_search import Found
from ponder.engines.tree import Ending, Node
from ponder.numerics.prm_rules import Rule, choose

__all__ = ["Chooser", "by_rule", "conclude"]

# From the finished nodes, and for each the group of its answer (None: no answer), to the position of the chosen one.
Chooser = Callable[[Sequence[Node], Sequence[int | str | None]], int | None]

_BEST: dict[Rule, Rule] = {
    "prm_min_vote": "prm_min_max",
    "prm_last_vote": "prm_last_max",
    "prm_avg_vote": "prm_avg_max",
    "prm_prod_vote": "prm_prod_max",
}
_FINISH: dict[Ending, Finish] = {"stop": "stop", "final": "stop", "cancelled": "cancelled"}


def by_rule(rule: Rule, parity: Literal["paper", "released"] = "paper") -> Chooser:
    """Return the chooser that follows one of card 13's voting rules.

    The released code reads the solution of a vote's winner at a wrong index; here it is the best one in both parities.
    """

    def chooser(nodes: Sequence[Node], groups: Sequence[int | str | None]) -> int | None:
        scores = [node.scores for node in nodes]
        choice = choose(rule, groups, scores, parity=parity)
        if choice is not None and parity == "released" and rule in _BEST:
            winners = [group if group == choice.answer else None for group in groups]
            choice = choose(_BEST[rule], winners, scores, parity=parity)
        return None if choice is None else choice.solution

    return chooser


async def conclude(task: Task, ctx: Context, found: Found, chooser: Chooser, *, strict: bool = False) -> Result:
    """Choose among what a search found.

    Args:
        task: what was asked.
        ctx: the run.
        found: finished and unfinished leaves.
        chooser: picks one of the finished.
        strict: answers are equal only as strings (as in the released code of card 13), not by their type.
    """
    answers = ctx.answers(task)
    nodes = found.finals or found.unfinished
    candidates = [_candidate(index, node, ctx, answers) for index, node in enumerate(nodes)]
    extracted = [candidate.answer for candidate in candidates]
    notes = [found.detail]
    best: int | None = None
    if found.finals:
        best = chooser(nodes, extracted if strict else await answers.group(extracted))
        if best is None:
            notes.append("no finished answer has both a score and an answer: the best of the others")
    elif nodes:
        notes.append("nothing was finished: the best unfinished answer")
    if best is None and nodes:
        order = {id(node): rank for rank, node in enumerate(ranked(nodes))}
        best = min(range(len(nodes)), key=lambda at: (extracted[at] is None, order[id(nodes[at])]))
    return ctx.result(candidates, best=best, stopped=found.stopped, detail="; ".join(note for note in notes if note))


def _candidate(index: int, node: Node, ctx: Context, answers: AnswerType) -> Candidate:
    """Return a leaf as a candidate; its usage is that of its own path, so steps that leaves share count in each."""
    text = node.text()
    return Candidate(
        index=index,
        message=Message("assistant", text),
        answer=answers.extract(text),
        finish=_FINISH.get(node.end, "length"),
        usage=sum((step.usage for step in node.path()), Usage()),
        scores={ctx.verifier_name: node.score},
        metadata={"node": list(node.id), "end": node.end, "unfinished": not node.finished},
    )

"""Graphs of sub-tasks: plan, run what is ready, hand each node what its ancestors found, and put it together.

Source: our own (DESIGN §5); the loop under cards 38, 52, 60 and 62 (arXiv 2512.00466, 2502.05078, 2505.16122,
2502.12018).
A node starts as soon as the nodes it depends on are done. Under a budget the order in which replies arrive must not
decide which calls are still admitted. So nodes run freely only where all that is left of the graph fits even at its
dearest; else in waves of ready nodes that fit together so, and else one after another. Nothing is held while a node
waits for a graph inside it: slots are taken by the back-end, around one call each.
A plan with a cycle, a missing or doubled id, or no readable form is asked for again a bounded number of times, and then
becomes a flat one, which the trace says ("plan") and the strategies say in their results.
Cost: that of the nodes. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, cast

from ponder.core import registry
from ponder.core.candidate import Candidate
from ponder.core.context import Context, Method
from ponder.core.errors import BadInput, Interrupted, OutOfBudget, ProviderError, Stopped
from ponder.core.model import Request
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.engines.asking import Asked, Outcome, ask_readable, call, numbered
from ponder.engines.plans import PLAN_SCHEMA, SubTask, check_plan, edges, flat, read_plan
from ponder.engines.replies import repeats
from ponder.engines.waves import Claim, fits, freely, in_waves, limits
from ponder.numerics import graphs

__all__ = ["Claim", "Planned", "ask_plan", "conclude_graph", "do_node", "node_claim", "run_graph"]

Done: TypeAlias = Mapping[str, Outcome]
# Given a node, what its ancestors came to, and whether all it may ask for is sure to be admitted: do it.
Work: TypeAlias = Callable[[SubTask, Done, bool], Coroutine[Any, Any, Outcome]]
# The chat that asks for a node, given what its ancestors came to.
Render: TypeAlias = Callable[[SubTask, Done], Sequence[Message]]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan that can be run.

    Attributes:
        plan: its nodes.
        faults: what was wrong with each reply that could not be used.
        flat: whether it had to be made a flat one.
        ended: why the run is to end, where that is so.
    """

    plan: tuple[SubTask, ...]
    faults: tuple[str, ...] = ()
    flat: bool = False
    ended: Interrupted | None = None

    @property
    def note(self) -> str:
        """What a result says about it; empty where there is nothing to say."""
        return f"no plan could be read ({self.faults[-1]}): a flat one of {len(self.plan)}" if self.flat else ""


async def ask_plan(
    ctx: Context, messages: Sequence[Message], task: Task, *, most: int | None = None, **options: Any
) -> Planned:
    """Ask for a plan, again where it cannot be run, and flatten what there is where that does not help.

    Args:
        ctx: the run.
        messages: the chat that asks for it.
        task: becomes the only node where nothing can be read.
        most: nodes that are kept of a flat plan.
        options: of `ask_readable` (path, role, law, repairs, keep).
    """
    seen: tuple[SubTask, ...] = ()

    def read(text: str) -> tuple[SubTask, ...]:
        nonlocal seen
        plan = read_plan(text)
        if not repeats(text, messages[-1].text):
            seen = plan
        check_plan(plan)
        return plan

    asked: Asked[tuple[SubTask, ...]] = await ask_readable(ctx, messages, read, schema=PLAN_SCHEMA, **options)
    if asked.value is not None:
        ctx.trace.instant("plan", ctx.span, nodes=len(asked.value), flat=False, faults=list(asked.faults))
        return Planned(plan=asked.value, faults=asked.faults, ended=asked.ended)
    plan = flat(seen, most=most) or (SubTask(id="1", text=task.prompt),)
    ctx.trace.instant("plan", ctx.span, nodes=len(plan), flat=True, faults=list(asked.faults))
    wrong = asked.faults or (str(asked.ended or "no reply"),)
    return Planned(plan=plan, faults=wrong, flat=True, ended=asked.ended)


async def run_graph(
    plan: Sequence[SubTask],
    work: Work,
    ctx: Context,
    *,
    claim: Callable[[SubTask, Done], Claim] | None = None,
    sure: bool = False,
    keep: int = 0,
) -> dict[str, Outcome]:
    """Run the nodes of a plan, each after those it depends on, as many at once as the budget lets be decided.

    Args:
        plan: checked here.
        work: does one node; it returns its failures and an end of the run as values.
        ctx: the run.
        claim: what a node can cost at most, given what is known of its ancestors; by default nothing is known.
        sure: everything the graph may ask for is sure to be admitted: no checks.
        keep: calls that the run needs for something else.

    Returns:
        The outcomes of the nodes that were done, in the plan's order. After an end of the run no node is begun.

    Raises:
        BadInput: the plan has a cycle, a doubled id, a missing one, or an empty text.
    """
    check_plan(plan)
    needed = edges(plan)
    above = graphs.closure(needed)
    done: dict[int, Outcome] = {}

    async def step(at: int, *, sure: bool) -> Outcome:
        known = {plan[k].id: done[k] for k in above[at]}
        span = ctx.trace.instant("node", ctx.span, node=plan[at].id, depends=list(plan[at].depends))
        done[at] = outcome = await work(plan[at], known, sure)
        ctx.trace.instant("node_done", span, node=plan[at].id, ok=bool(outcome.text))
        return outcome

    def claimed(at: int) -> Claim | None:
        known = {plan[k].id: done[k] for k in above[at] if k in done}
        return None if claim is None else claim(plan[at], known)

    def fitting(ready: Sequence[int]) -> int:
        claims = [claimed(at) for at in ready]
        return next((count for count in range(len(ready), 1, -1) if fits(ctx, claims[:count], keep)), 1)

    if sure or not limits(ctx) or fits(ctx, [claimed(at) for at in range(len(plan))], keep):
        await freely(needed, partial(step, sure=True))
    else:
        await in_waves(needed, done, step, fitting)
    return {plan[at].id: done[at] for at in range(len(plan)) if at in done}


def node_claim(ctx: Context, render: Render, node: SubTask, done: Done) -> Claim:
    """Return what `do_node` can cost: by its method's own count, or by its one call and prompt where that is known."""
    completion = ctx.sampling.max_tokens
    if node.budget is not None and node.budget.completion_tokens is not None:
        completion = min(completion, node.budget.completion_tokens)
    if node.method:
        made = cast(Method, registry.strategies.get(node.method).make(**node.settings))
        return Claim(calls=node.most or sum(made.calls().values()), completion=completion, role=node.role)
    prompt = None
    if all(name in done for name in node.depends):
        request = Request(messages=tuple(render(node, done)), sampling=ctx.sampling)
        prompt = ctx.models.get(node.role, ctx.models["policy"]).count(request).tokens
    return Claim(calls=node.most or 1, completion=completion, prompt=prompt, role=node.role)


async def do_node(task: Task, ctx: Context, render: Render, node: SubTask, done: Done, sure: bool = False) -> Outcome:
    """Do a node by its method, under its own budget and by the model of its role; without a method by one call.

    Args:
        task: the whole one.
        ctx: the run.
        render: writes the node's chat.
        node: what to do.
        done: what its ancestors came to.
        sure: see `Work`; a single call makes no use of it.
    """
    chat = tuple(render(node, done))
    name = f"{task.id}/{node.id}"
    if not node.method and node.budget is None:
        return await call(ctx, chat, path=("node", name), role=node.role, node=node.id)
    acting = node.role if node.role in ctx.models else ""
    before = ctx.meter.refusal()
    try:
        result = await ctx.run(
            node.method or "greedy",
            Task(messages=chat, answer=node.answer, id=name),
            budget=node.budget,
            acting=acting,
            **node.settings,
        )
    except (ProviderError, BadInput) as err:
        return Outcome(
            candidate=Candidate(index=0, error=str(err), metadata={"node": node.id}), ended=_end(ctx, before)
        )
    found = result.candidate
    if found is None:
        found = Candidate(index=0, error=result.detail or "no answer", metadata={"node": node.id})
    else:
        place = {**found.metadata, "node": node.id, "calls": result.cost.calls, "stopped": result.stopped}
        found = replace(found, answer=None, scores={}, metadata=place)
    return Outcome(candidate=found, ended=_end(ctx, before))


def _end(ctx: Context, before: OutOfBudget | None) -> Interrupted | None:
    """Return why this run is to end after a nested one: a stop, or a refusal by its own limits, not by the nested."""
    refusal = ctx.meter.refusal()
    return ctx.meter.reason() or (refusal if refusal is not before else None)


def conclude_graph(
    task: Task,
    ctx: Context,
    parts: Sequence[Candidate],
    final: Candidate | None,
    *,
    ended: Interrupted | None = None,
    notes: Sequence[str] = (),
    stopped: Stopped = "done",
) -> Result:
    """Build the result of a run over a graph: the final answer, else the latest sub-answer, which the result says.

    Args:
        task: what was asked.
        ctx: the run.
        parts: sub-answers in a fixed order.
        final: the answer to the whole, with its `answer` extracted or None; failed ones are kept as a part.
        ended: why the run ended early.
        notes: what else the result says.
        stopped: how it ended where nothing ended it early.
    """
    said = [note for note in notes if note]
    candidates = numbered([*parts, *([] if final is None else [final])])
    usable = [c for c in candidates if c.ok and c.finish != "cancelled"] or [c for c in candidates if c.ok]
    best: int | None = None
    if final is not None and final.ok and (final.finish != "cancelled" or len(usable) <= 1):
        best = len(candidates) - 1
    elif usable:
        best = usable[-1].index
        said.append("there is no final answer: the latest of the parts")
    if best is not None and candidates[best].answer is None:
        answer = ctx.answers(task).extract(candidates[best].text)
        candidates[best] = replace(candidates[best], answer=answer)
    if ended is not None:
        stopped = ended.reason
        said.insert(0, str(ended))
    elif best is None:
        stopped = "endpoint"
        said.append(next((c.error for c in reversed(candidates) if c.error), "nothing came back"))
    return ctx.result(candidates, best=best, stopped=stopped, detail="; ".join(said))

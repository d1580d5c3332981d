"""Grow a tree of partial answers step by step: the loop under every search that a step verifier guides.

A search says which nodes to expand (`ask`) and takes in what came of it (`tell`, in the order asked); this driver does
the rest once for all of them: calls, step boundaries, budget, duplicates, repeats, retries, dead ends, scores, trace.

Source: our own (DESIGN §5), with the step rules of Liu et al. 2025, arXiv:2502.06703 (card 13): a step that is empty,
repeats a sibling or was cut by the token limit is dropped; where none is left the expansion is tried again, and then
the node is a dead end; an answer ends where the model ends it, at a final answer, or at the depth limit. Search finds
the steps that please a verifier and say nothing, so the times that one step may stand in an answer are capped (card 04
asks for a cap; the number is ours), except in the released parity. An answer that cannot be read wins no vote.
Differs: where the model has nothing to add after a step, the answer so far is finished (the released code drops such a
step as empty). Where it only leaves a blank line, the further attempts go on after it. A back-end that does not tell a
stop string from the model's own end is taken to have met the delimiter: if the answer was in fact complete, the next
step comes back empty twice and says so.
Seeds: child k of a node has the path ("step", task.id, *node.id) and the index k, whatever the order of arrival, and a
run that is repeated against its store resumes where it stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

from ponder.core.budget import Unit
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context, Verifier
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError, Stopped
from ponder.core.model import Request
from ponder.core.siblings import Draw
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.tree import Config, Ending, Node, Prefix
from ponder.numerics.aggregation import Aggregation, aggregate

__all__ = ["Expand", "Found", "Left", "Search", "StepSettings", "StepVerifier", "step_search"]

Left = Callable[[Unit], float]


@runtime_checkable
class StepVerifier(Protocol):
    """Judges partial answers, many of one task at once. A verifier may have this beside `score`, or alone."""

    async def score_steps(self, task: Task, prefixes: Sequence[Prefix], ctx: Context) -> list[Score]:
        """Return one score per prefix, in order; one that cannot be given is `Score.missing`.

        `Score.steps` has one value for each step of the prefix, from verifiers that give them; from others only
        `Score.value` is set, for the prefix as a whole.
        """


@dataclass(frozen=True, kw_only=True)
class Expand:
    """What a search asks for.

    Attributes:
        node: sample next steps from here,
        count: so many, >= 1,
        config: in this way; by default as the node says. The children inherit it.
        group: the search's own mark.
        kind: "step": sample next steps; "draft": only show what they would be, unscored; "rollout": continue greedily
            to the end of the answer and score that. What the last two make joins no tree.
    """

    node: Node
    count: int
    config: Config | None = None
    group: int = 0
    kind: Literal["step", "draft", "rollout"] = "step"


class Search(Protocol):
    """Decides what to expand. Its state is its own; it makes no calls."""

    def ask(self, left: Left) -> Sequence[Expand]:
        """Return what to expand next, given what is left in each unit (inf: no limit); nothing ends the search."""

    def tell(self, expand: Expand, children: Sequence[Node]) -> None:
        """Take in the usable children of one expansion; none: a dead end, or the end of the run."""

    def finals(self) -> list[Node]:
        """Return the finished answers that may be chosen, at any time."""


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    r"""What a step is. Methods inherit these settings.

    Attributes:
        delimiter: text that ends a step and is part of it; empty: each `step_tokens` tokens are a step.
        step_tokens: most tokens of a step, >= 1. A whole answer has at most the tokens of the run's sampling law.
        depth: most steps of an answer, >= 1.
        final: regular expression; a step in which it is found ends the answer. Empty for none.
        retries: further attempts where an expansion gave no usable step, >= 0.
        repeats: most times that one step may stand in an answer, >= 1; 0 for no cap (code repeats lines rightly).
    """

    delimiter: str = "\n"
    step_tokens: int = 256
    depth: int = 40
    final: str = r"\\boxed\s*\{"
    retries: int = 3
    repeats: int = 3

    def __post_init__(self) -> None:
        if self.step_tokens < 1 or self.depth < 1 or self.retries < 0 or self.repeats < 0:
            raise ConfigError("step_tokens and depth must be at least 1, retries and repeats at least 0")
        try:
            re.compile(self.final)
        except re.error as err:
            raise ConfigError(f"final is no regular expression: {err}") from err

    @property
    def attempts(self) -> int:
        """Most calls for one usable child of one round."""
        return 1 + self.retries

    def ending(self, text: str, stop: str | None, finish: str) -> Ending:
        """Return how a step of this text ended, the depth limit apart."""
        ended = finish != "length" if not self.delimiter else stop not in (None, self.delimiter)
        if ended or (self.delimiter and finish != "stop"):
            return "stop"
        return "final" if self.final and re.search(self.final, text) else "boundary"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search ended with.

    Attributes:
        finals: finished answers that may be chosen.
        unfinished: leaves that are not finished: for runs in which nothing is.
        stopped: "done", or why it ended early.
        detail: the same in words.
    """

    finals: tuple[Node, ...]
    unfinished: tuple[Node, ...]
    stopped: Stopped = "done"
    detail: str = ""


async def step_search(
    task: Task,
    ctx: Context,
    root: Node,
    search: Search,
    settings: StepSettings,
    *,
    aggregation: Aggregation = "last",
    lookahead: int = 0,
    parity: Literal["paper", "released"] = "paper",
) -> Found:
    """Run a search to its end, or to the end of the budget.

    Args:
        task: what to answer.
        ctx: the run; its verifier judges the steps. One without `score_steps` is shown each prefix as if it were an
            answer.
        root: the empty answer that `search` starts from.
        search: decides what to expand.
        settings: what a step is.
        aggregation: from the scores of a node's steps to the value that it is ranked by.
        lookahead: greedy steps that are rolled out before a prefix is scored, and thrown away (card 04).
        parity: "released": a prefix whose scores are not as many as its steps has the value 0 (paper: missing).

    Raises:
        ProviderError: every call failed; the last failure.
        ConfigError: the run has no verifier.
    """
    if ctx.verifier is None:
        raise ConfigError(f"method {ctx.method!r} needs a verifier: pass verifier=NAME")
    return await _Driver(task, ctx, ctx.verifier, root, search, settings, aggregation, lookahead, parity).run()


@dataclass(eq=False)
class _Driver:
    """One run of one search."""

    task: Task
    ctx: Context
    verifier: Verifier | StepVerifier
    root: Node
    search: Search
    settings: StepSettings
    aggregation: Aggregation
    lookahead: int
    parity: Literal["paper", "released"]
    why: Interrupted | None = None
    failures: list[ProviderError] = field(default_factory=list)
    answered: bool = False  # whether any call came back with a text
    broken: list[Node] = field(default_factory=list)  # beginnings of steps: they join no tree

    async def run(self) -> Found:
        """Ask, expand, look ahead, score, tell."""
        while self.why is None and (batch := self.search.ask(self.ctx.meter.left)):
            grown = await self._expand([expand for expand in batch if expand.kind != "rollout"])
            fresh = [child for expand, found in grown if expand.kind == "step" for child in found]
            await self._score(fresh, await self._look_ahead(fresh, self.lookahead))
            ends = [(expand, await self._roll_out(expand.node)) for expand in batch if expand.kind == "rollout"]
            told = {id(expand): found for expand, found in (*grown, *ends)}
            for expand in batch:
                children = told[id(expand)]
                if not expand.node.children and self.why is None and expand.kind == "step":
                    expand.node.dead = True
                    self.ctx.trace.instant("dead_end", self.ctx.span, node=list(expand.node.id))
                self.search.tell(expand, children)
        finals = self.search.finals()
        leaves = [node for node in self.root.walk() if node.step and not node.children and not node.finished]
        if self.failures and not self.answered and self.why is None:
            raise ProviderError(f"all {len(self.failures)} calls failed: {self.failures[-1]}")
        return Found(
            finals=tuple(finals),
            unfinished=(*leaves, *self.broken),
            stopped="done" if self.why is None else self.why.reason,
            detail="" if self.why is None else str(self.why),
        )

    # -- steps -----------------------------------------------------------------------------------------------------

    async def _expand(self, batch: Sequence[Expand]) -> list[tuple[Expand, list[Node]]]:
        """Sample the steps asked for; try again, all together, where none was usable."""
        grown: list[list[Node]] = [[] for _ in batch]
        # Siblings are steps from one node in one group, however many expansions of a round they come from.
        siblings: dict[tuple[int, int, str], set[str]] = {}
        leads = [""] * len(batch)
        waiting = list(range(len(batch)))
        for _ in range(self.settings.attempts):
            # All of one attempt before any of the next: the order of calls must not depend on which came back first.
            draws = await self._together([partial(self._sample, batch[at], leads[at]) for at in waiting])
            for at, drawn in zip(waiting, draws, strict=True):
                place = id(batch[at].node), batch[at].group, batch[at].kind
                grown[at] = self._usable(batch[at], drawn, leads[at], siblings.setdefault(place, set()))
                if any(_is_blank(draw) for draw in drawn):
                    leads[at] += self.settings.delimiter
            waiting = [
                at
                for at, drawn in zip(waiting, draws, strict=True)
                if not grown[at] and any(draw.completion is not None for draw in drawn)
            ]
            if not waiting or self.why is not None:
                break
        for expand, children in zip(batch, grown, strict=True):
            if expand.kind == "step":
                expand.node.children.extend(children)
        return list(zip(batch, grown, strict=True))

    async def _together(self, calls: Sequence[Callable[[], Coroutine[Any, Any, list[Draw]]]]) -> list[list[Draw]]:
        """Make calls side by side; take note, in the order asked, of what failed and of what ended the run."""
        draws = await gather_all(calls)
        for draw in (draw for drawn in draws for draw in drawn):
            if draw.error is not None:
                self.failures.append(draw.error)
            self.answered = self.answered or draw.completion is not None
            self.why = self.why or draw.interrupted
        return draws

    async def _sample(self, expand: Expand, lead: str) -> list[Draw]:
        first = expand.node.drawn
        expand.node.drawn += expand.count
        config = expand.config or expand.node.config
        return await self._draw(expand.node, lead, config, expand.count, first, expand.kind)

    async def _draw(self, node: Node, lead: str, config: Config, count: int, first: int, place: str) -> list[Draw]:
        """Make the calls for `count` next steps of a node, which begin with `lead`."""
        law = config.sampling
        stop = (*law.stop, self.settings.delimiter) if self.settings.delimiter else law.stop
        most = max(1, min(self.settings.step_tokens, law.max_tokens - node.tokens))
        request = Request(
            messages=config.messages,
            prefix=node.text() + lead,
            n=count,
            sampling=replace(law, max_tokens=most, stop=tuple(dict.fromkeys(stop))),
            extra=config.extra,
        )
        try:
            return await self.ctx.model(config.role).sample(request, path=(place, self.task.id, *node.id), first=first)
        except BadInput:
            if node.parent is None:
                raise
            return []  # the answer has grown out of the model's context: a dead end

    def _usable(self, expand: Expand, draws: Sequence[Draw], lead: str, seen: set[str]) -> list[Node]:
        """Turn draws into children, none of them in `seen`; what cannot be used is told to the trace."""
        children: list[Node] = []
        draft = expand.kind == "draft"
        for draw in draws:
            child = self._child(expand.node, lead, expand.config or expand.node.config, draw)
            if not isinstance(child, Node):
                reason: str = child
            elif child.broken:
                reason = child.end
                if not draft:
                    self.broken.append(child)
            elif child.step in seen:
                reason = "duplicate"
            else:
                seen.add(child.step)
                children.append(child)
                continue
            place = [*expand.node.id, draw.index]
            self.ctx.trace.instant("dropped", self.ctx.span, node=place, reason=reason, draft=draft)
        return children

    def _child(self, node: Node, lead: str, config: Config, draw: Draw) -> Node | str:
        """Return the child that a draw makes, or why it makes none."""
        completion = draw.completion
        if completion is None:
            return "failed" if draw.error is not None else "not sent"
        text, end = completion.text, self.settings.ending(completion.text, completion.stop, completion.finish)
        if completion.finish == "cancelled":
            end = "cancelled"
        elif completion.finish == "length" and self.settings.delimiter:
            end = "cut"
        if not text.strip():
            ended = end == "stop" or (lead and completion.stop is None and end == "boundary")
            if not ended or node.parent is None:
                return "empty"
            text, end = "", "stop"  # the model had nothing to add: the answer so far is finished
        else:
            if self._is_worn(node, text):
                return "repeated"
            text = lead + text + (self.settings.delimiter if end == "boundary" else "")
        tokens = node.tokens + completion.usage.completion_tokens
        if end == "boundary" and (node.depth + 1 >= self.settings.depth or tokens >= config.sampling.max_tokens):
            end = "depth"
        return Node(
            id=(*node.id, draw.index),
            parent=node,
            config=config,
            step=text,
            end=end,
            usage=draw.usage,
            tokens=tokens,
        )

    def _is_worn(self, node: Node, step: str) -> bool:
        """Whether the answer up to `node` has this step as often as it may."""
        if not self.settings.repeats or self.parity == "released":
            return False
        return sum(past.step.strip() == step.strip() for past in node.path()) >= self.settings.repeats

    async def _roll_out(self, node: Node) -> list[Node]:
        """Return where a greedy continuation of the node to the end of the answer comes to, scored; no child of it."""
        (end,) = await self._look_ahead([node], self.settings.depth)
        if end is not node:
            await self._score([end], [end], kept=False)
        return [end]

    async def _look_ahead(self, nodes: Sequence[Node], most: int) -> list[Node]:
        """Return for each node where a greedy roll-out of `most` steps ends; what it passes joins no tree."""
        ends = list(nodes)
        leads = [""] * len(ends)
        going = [at for at, node in enumerate(ends) if node.open]
        for _ in range(most):
            if not going or self.why is not None:
                break
            configs = [ends[at].config.greedy() for at in going]
            draws = await self._together(
                [
                    partial(self._draw, ends[at], leads[at], c, 1, 0, "look")
                    for at, c in zip(going, configs, strict=True)
                ]
            )
            still = []
            for at, config, drawn in zip(going, configs, draws, strict=True):
                step = self._child(ends[at], leads[at], config, drawn[0]) if drawn else "no room"
                if isinstance(step, Node) and not step.broken:
                    ends[at], leads[at] = step, ""
                    if step.open:
                        still.append(at)
                elif drawn and _is_blank(drawn[0]):
                    leads[at] += self.settings.delimiter
                    still.append(at)
            going = still
        return ends

    # -- scores ----------------------------------------------------------------------------------------------------

    async def _score(self, nodes: Sequence[Node], ends: Sequence[Node], *, kept: bool = True) -> None:
        """Score each node by the prefix at its end, all in one call of the verifier; `kept`: they are in the tree."""
        if not nodes:
            return
        prefixes = [end.prefix() for end in ends]
        if isinstance(self.verifier, StepVerifier):
            scores = await self.ctx.judged(self.verifier.score_steps(self.task, prefixes, self.ctx))
        else:
            shown = [self._shown(i, prefix) for i, prefix in enumerate(prefixes)]
            scores = await self.ctx.judged(self.verifier.score(self.task, shown, self.ctx))
        for node, prefix, score in zip(nodes, prefixes, scores, strict=True):
            self._value(node, score, len(prefix.steps))
            if not kept:
                continue
            self.ctx.trace.instant("step", self.ctx.span, verifier=self.ctx.verifier_name, **node.to_json())
            if node.finished:
                self.ctx.candidates.append(self._shown(len(self.ctx.candidates), node.prefix()))

    def _shown(self, index: int, prefix: Prefix) -> Candidate:
        """Return a prefix as if it were an answer."""
        message, answer = Message("assistant", prefix.text), self.ctx.answers(self.task).extract(prefix.text)
        return Candidate(index=index, message=message, answer=answer, finish="stop" if prefix.finished else "length")

    def _value(self, node: Node, score: Score, steps: int) -> None:
        """Note a score, and what it is worth."""
        if score.steps and len(score.steps) != steps:
            reason = f"{len(score.steps)} scores for {steps} steps"
            node.score = replace(score, value=None, reason=reason)
            node.scores = score.steps if self.parity == "released" else ()
            node.value = 0.0 if self.parity == "released" else None
        elif score.steps:
            node.scores, node.value = score.steps, aggregate(score.steps, self.aggregation)
            node.score = replace(score, value=node.value)
        else:
            node.score, node.value = score, score.value
            if score.value is not None:
                node.scores = tuple(n.value for n in node.path() if n.value is not None)


def _is_blank(draw: Draw) -> bool:
    """Whether nothing but space came before the end of a step."""
    completion = draw.completion
    return completion is not None and completion.finish == "stop" and not completion.text.strip()

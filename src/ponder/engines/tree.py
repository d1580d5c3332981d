"""The tree of a step search: nodes that stand for partial answers, and what their children inherit.

Source: our own (DESIGN §5). A node's id is its parent's id and the number of the draw that made it, so it says by
itself which samples lead there; removed siblings leave gaps, and nothing is renumbered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ponder.core.candidate import Score
from ponder.core.context import Context
from ponder.core.model import Sampling
from ponder.core.task import Message, Task
from ponder.core.usage import Usage

__all__ = ["Config", "Ending", "Node", "NodeId", "Prefix"]

NodeId = tuple[int, ...]
# "boundary": a step ended and more may follow; "stop": the model, or a stop string of the task, ended the answer;
# "final": the step holds a final answer; "depth": no more steps or tokens were allowed; "cut": the step was longer than
# a step may be; "cancelled": the run ended during it.
Ending = Literal["boundary", "stop", "final", "depth", "cut", "cancelled"]

_UNSCORED = Score.missing("not scored")


@dataclass(frozen=True, kw_only=True)
class Config:
    """How the children of a node are sampled; they inherit it unless the search says otherwise.

    Attributes:
        messages: the chat that is answered.
        sampling: the law.
        role: the model.
        extra: further fields of the request (how many experts are active, ...), for back-ends that know them.
    """

    messages: tuple[Message, ...]
    sampling: Sampling
    role: str = "policy"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def greedy(self) -> Config:
        """Return the same at temperature 0."""
        return replace(self, sampling=replace(self.sampling, temperature=0.0))


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """A partial (or finished) answer as a step verifier sees it.

    Attributes:
        node: id in the tree: names the place for seeds.
        steps: the text of each step with the delimiter that ended it, so that they spell the answer when joined.
        finished: whether the answer ends here.
    """

    node: NodeId
    steps: tuple[str, ...]
    finished: bool

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self.steps)


@dataclass(eq=False, slots=True, kw_only=True)
class Node:
    """A partial answer.

    Attributes:
        id: parent's id and the number of the draw; () is the root.
        parent: None for the root.
        config: what its children inherit.
        step: the text that it adds, with its delimiter.
        end: how that text ended.
        usage: cost of the draw that made it.
        tokens: completion tokens from the root to here.
        score: what the verifier said of it.
        scores: one score per step, where the verifier gives them; else the known values from the root to here (none
            where its own value is missing).
        value: what the search ranks it by; None is missing.
        dead: nothing came of expanding it.
        drawn: children sampled so far, unusable ones included.
        children: the usable ones.
        visits, known, mean, prior: of a Monte-Carlo tree search: visits, those that brought a value, the mean of
            these values, and the share of its siblings' softmax.
    """

    id: NodeId = ()
    parent: Node | None = None
    config: Config
    step: str = ""
    end: Ending = "boundary"
    usage: Usage = field(default_factory=Usage)
    tokens: int = 0
    score: Score = _UNSCORED
    scores: tuple[float, ...] = ()
    value: float | None = None
    dead: bool = False
    drawn: int = 0
    children: list[Node] = field(default_factory=list)
    visits: int = 0
    known: int = 0
    mean: float = 0.0
    prior: float | None = None

    @classmethod
    def root(cls, task: Task, ctx: Context, *, messages: tuple[Message, ...] | None = None) -> Node:
        """Return the empty answer to a task, sampled under the run's law."""
        return cls(config=Config(messages=messages or task.messages, sampling=ctx.sampling))

    @property
    def depth(self) -> int:
        """Steps from the root."""
        return len(self.id)

    @property
    def finished(self) -> bool:
        """Whether the answer ends here."""
        return self.end in ("stop", "final", "depth")

    @property
    def open(self) -> bool:
        """Whether it may be expanded."""
        return self.end == "boundary" and not self.dead

    @property
    def broken(self) -> bool:
        """Whether its step is only the beginning of one."""
        return self.end in ("cut", "cancelled")

    def path(self) -> list[Node]:
        """Return the nodes from the first step to this one (the root left out)."""
        nodes: list[Node] = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]

    def text(self) -> str:
        """Return the answer so far."""
        return "".join(node.step for node in self.path())

    def prefix(self) -> Prefix:
        """Return what a step verifier sees; an empty step that only ended the answer is none."""
        return Prefix(node=self.id, steps=tuple(node.step for node in self.path() if node.step), finished=self.finished)

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, parents first."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))

    def to_json(self) -> dict[str, Any]:
        """Return what the trace keeps of a node."""
        return {
            "node": list(self.id),
            "end": self.end,
            "dead": self.dead,
            "value": self.value if self.value is None or math.isfinite(self.value) else str(self.value),
            "score": self.score.to_json(),
        }

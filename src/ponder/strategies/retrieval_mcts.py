"""Retrieval-augmented tree search: Monte-Carlo tree search over steps, shown similar solved problems and similar steps.

Paper: R2-LLMs, arXiv:2507.05557 (card 35), known from its abstract: two levels of retrieval (problems in the prompt,
steps at each expansion), a tree search over steps, a step verifier that guides and decides. Everything below that level
is a reconstruction after common practice, not the paper's. `fine="try_retrieve"` is the rule of BoostStep
(arXiv:2501.03226): write a tentative step, look up the step most like it, write the real step with that example.
Differs: templates are problems with their numbers masked, not a model's abstraction; the built-in retriever goes by
words (TF-IDF) without BM25; no mixing of roll-outs into the value (take verifier `rollout_value`); the verifier sees
the problem and the steps, never what was retrieved. Reference problems that are nearly the question are left out.
Cost: one expansion of `branch` steps a simulation (twice that with drafts), the retrieved text read at each call, and
`branch` prefixes for the verifier. Needs: exact continuation of a prefix; a step verifier; reference problems with
solutions, without which it is plain verifier-guided tree search.
When: a family of problems with worked solutions at hand, and steps that carry over.
When not: references from another field; small budgets (each simulation waits for the one before).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import ConfigError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.engines.conclude import conclude
from ponder.engines.mcts import Bound, Mcts
from ponder.engines.references import LexicalRetriever, RandomRetriever, Retrieved, Retriever, without_leaks
from ponder.engines.step_search import StepSettings, step_search
from ponder.engines.tree import Config, Node
from ponder.numerics.votes import best_of, totals

__all__ = ["RetrievalMcts", "decide"]


@strategies(
    "retrieval_mcts",
    card=35,
    paper="arXiv:2507.05557",
    fidelity="reconstructed",
    access=(Access.TEXT, Access.PREFIX),
    needs=("verifier",),
    tags={
        "what": ("hybrid",),
        "how": ("search", "verification", "retrieval"),
        "where": ("reasoning",),
        "how_well": ("accuracy",),
    },
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class RetrievalMcts(StepSettings):
    r"""Tree search with two levels of retrieval.

    Attributes:
        references: (question, solution) pairs; the steps of a solution are separated by `delimiter` (or line breaks).
        retriever: another way to find problems and steps than by words over `references`.
        retrieval: "similar", or "random" as a control.
        k1: solved problems in the prompt; 0 for none.
        k2: similar steps shown at an expansion; 0 for none.
        fine: how they are found: "history" by problem and last steps, "try_retrieve" by a tentative step (shows one).
        floor: least similarity of a step that is shown, in [0, 1] (BoostStep: 0.7).
        simulations: S, >= 1.
        branch: b, steps sampled by an expansion, >= 1.
        enough: stop once so many answers are finished; 0 for never.
        bound: "uct" or "puct".
        c: exploration constant, >= 0 (1.4 for uct, 1.25 for puct).
        delimiter: text that ends a step; empty: each `step_tokens` tokens are a step.
        step_tokens: most tokens of a step; longer ones are dropped.
        depth: most steps of an answer.
        final: regular expression; a step in which it is found ends the answer.
        retries: further attempts where an expansion gave no usable step.
    """

    references: tuple[tuple[str, str], ...] = ()
    retriever: Retriever | None = None
    retrieval: Literal["similar", "random"] = "similar"
    k1: int = 4
    k2: int = 2
    fine: Literal["history", "try_retrieve"] = "history"
    floor: float = 0.6
    simulations: int = 16
    branch: int = 4
    enough: int = 0
    bound: Bound = "uct"
    c: float = 1.4
    depth: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.simulations < 1 or self.branch < 1 or min(self.k1, self.k2, self.enough) < 0:
            raise ConfigError("simulations and branch must be at least 1, k1, k2 and enough at least 0")
        if not (0 <= self.floor <= 1 and self.c >= 0):
            raise ConfigError("floor must be in [0, 1] and c at least 0")
        pairs = tuple((question, solution) for question, solution in self.references)  # from JSON they come as lists
        object.__setattr__(self, "references", pairs)

    def calls(self) -> dict[str, int]:
        """Most calls by role (the verifier's own come on top)."""
        drafts = 2 if self.fine == "try_retrieve" else 1
        return {"policy": self.simulations * self.branch * self.attempts * drafts + self.depth * self.attempts}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Retrieve, search, decide."""
        if self.retriever is not None:  # settings are JSON
            ctx.settings = {**ctx.settings, "retriever": type(self.retriever).__name__}
        retriever = self._retriever(task, ctx)
        examples = retriever.problems(task.prompt, self.k1) if retriever is not None and self.k1 else []
        root = Node.root(task, ctx, messages=_with(task.messages, before=_problems(examples)))
        self._note(ctx, root, examples)
        search = Mcts(
            root,
            simulations=self.simulations,
            branch=self.branch,
            bound=self.bound,
            c=self.c,
            enough=self.enough,
            **self._level(task, ctx, root, retriever),
        )
        found = await step_search(task, ctx, root, search, self)
        statistics = [
            {"node": list(n.id), "visits": n.visits, "value": n.mean if n.known else n.value, "prior": n.prior}
            for n in root.walk()
        ]
        ctx.trace.instant("tree", ctx.span, simulations=search.simulations, nodes=statistics)
        return await conclude(task, ctx, found, decide)

    def _retriever(self, task: Task, ctx: Context) -> Retriever | None:
        if self.retriever is not None:
            return self.retriever
        pairs = without_leaks(self.references, task.prompt)
        if not pairs:
            return None
        delimiter = self.delimiter or "\n"
        if self.retrieval == "random":
            return RandomRetriever(pairs, derive(ctx.seed, "retrieval", task.id), delimiter=delimiter)
        return LexicalRetriever(pairs, delimiter=delimiter)

    def _level(self, task: Task, ctx: Context, root: Node, retriever: Retriever | None) -> dict[str, Any]:
        """Return what the search calls for the fine level: nothing, a hint for each node, or one for each draft."""
        if retriever is None or not self.k2:
            return {}

        def shown(node: Node, steps: Sequence[Retrieved]) -> Config:
            kept = [step for step in steps if step.similarity >= self.floor]
            self._note(ctx, node, kept)
            return replace(root.config, messages=_with(root.config.messages, after=_steps(kept)))

        def hint(node: Node) -> Config:
            return shown(node, retriever.steps(task.prompt, [n.step for n in node.path()], self.k2))

        def draft(node: Node, tentative: str) -> Config:
            nearest = retriever.like(tentative)
            return shown(node, [] if nearest is None else [nearest])

        return {"draft": draft} if self.fine == "try_retrieve" else {"hint": hint}

    @staticmethod
    def _note(ctx: Context, node: Node, found: Sequence[Retrieved]) -> None:
        ids = [[item.reference, round(item.similarity, 6)] for item in found]
        ctx.trace.instant("retrieved", ctx.span, node=list(node.id), references=ids)


def decide(nodes: Sequence[Node], groups: Sequence[int | str | None]) -> int | None:
    """Choose the answer with the largest sum of value times visits (at least 1), given by its best-valued leaf."""
    weights = [None if n.value is None else n.value * max(1, n.visits) for n in nodes]
    sums = totals(groups, weights)
    winner = best_of(list(sums.values()))
    if winner is None:
        return None
    answer = list(sums)[winner]
    return best_of([n.value if group == answer else None for n, group in zip(nodes, groups, strict=True)])


def _problems(found: Sequence[Retrieved]) -> str:
    if not found:
        return ""
    shown = "\n\n".join(f"Problem: {item.question}\nSolution:\n{item.text}" for item in reversed(found))
    return f"Solved problems, the most similar one last.\n\n{shown}\n\nSolve the next problem in the same way.\n\n"


def _steps(found: Sequence[Retrieved]) -> str:
    if not found:
        return ""
    shown = "\n".join(f"- {item.text.strip()}" for item in found)
    return f"\n\nSteps from similar problems that may help here (their numbers are not those of this problem):\n{shown}"


def _with(messages: tuple[Message, ...], before: str = "", after: str = "") -> tuple[Message, ...]:
    """Return the chat with text added around its last user message; unchanged where there is nothing to add."""
    at = next((i for i in reversed(range(len(messages))) if messages[i].role == "user"), len(messages) - 1)
    if not before and not after:
        return messages
    changed = replace(messages[at], text=f"{before}{messages[at].text}{after}")
    return (*messages[:at], changed, *messages[at + 1 :])

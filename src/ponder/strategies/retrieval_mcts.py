"""Retrieval-augmented tree search: Monte-Carlo tree search over steps, shown similar solved problems and similar steps.

Paper: R2-LLMs, arXiv:2507.05557 (card 35), known from its abstract: two levels of retrieval (problems in the prompt,
steps at each expansion), a tree search over steps, a step verifier that guides and decides. Everything below that level
is a reconstruction after common practice, not the paper's. `fine="try_retrieve"` is the rule of BoostStep
(arXiv:2501.03226): write a tentative step, look up the step most like it, write the real step with that example.
Differs: by default templates are problems with their numbers masked; `templates="model"` asks the policy for them, as
the card says. The dense part of the similarity is TF-IDF, unless a `retriever` with embeddings is given. The verifier
sees the problem and the steps, never what was retrieved. Reference problems that are nearly the question are left out.
Settings are the card's ablations: k1=0 no coarse level, k2=0 no fine one, both plain tree search, `retrieval="random"`
the control, `guide="none"` no step verifier: a vote over `simulations` samples under the retrieved prompt.
Cost: one expansion of `branch` steps a simulation (twice that with drafts), the retrieved text read at each call, and
`branch` prefixes for the verifier; a greedy roll-out a simulation with `weight`; a call for each reference with
`templates="model"` (a response store pays for them once). Needs: exact continuation of a prefix; a step verifier
(neither with guide="none"); reference problems with solutions, without which it is plain verifier-guided tree search.
When: a family of problems with worked solutions at hand, and steps that carry over.
When not: references from another field; small budgets (each simulation waits for the one before). Steps carry the
numbers of their problems, and small models copy them: `mask` hides them. Values all near 1 want a larger `c`.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from typing import Any, Literal

from ponder.core.access import Access
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.conclude import conclude
from ponder.engines.mcts import Bound, Mcts
from ponder.engines.references import (
    LexicalRetriever,
    RandomRetriever,
    Retrieved,
    Retriever,
    template,
    without_leaks,
)
from ponder.engines.sample import sample
from ponder.engines.step_search import StepSettings, step_search
from ponder.engines.tree import Config, Node
from ponder.numerics.votes import best_of, majority, totals

__all__ = ["RetrievalMcts", "decide"]

_TEMPLATE_TOKENS = 200


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
        guide: "verifier", or "none": no search, a vote over samples under the retrieved prompt.
        templates: what problems are compared by: "masked" numbers, or the "model" rewrites them.
        alpha: among problems, weight of the vectors' cosine against BM25, in [0, 1].
        n1: so many of the most similar problems are considered, >= 1.
        mu: weight of similarity against diversity among them, in [0, 1].
        k1: solved problems in the prompt; 0 for none.
        k2: similar steps shown at an expansion; 0 for none.
        fine: how they are found: "history" by problem and last steps, "try_retrieve" by a tentative step (shows one).
        mask: hide the numbers of the steps that are shown.
        floor: least similarity of a step that is shown, in [0, 1] (BoostStep: 0.7).
        simulations: S, >= 1.
        branch: b, steps sampled by an expansion, >= 1.
        enough: stop once so many answers are finished; 0 for never.
        bound: "uct" or "puct".
        c: exploration constant, >= 0 (1.4 for uct, 1.25 for puct).
        weight: lambda in [0, 1]: share of a greedy roll-out's value in that of an expansion.
        delimiter: text that ends a step; empty: each `step_tokens` tokens are a step.
        step_tokens: most tokens of a step; longer ones are dropped.
        depth: most steps of an answer.
        final: regular expression; a step in which it is found ends the answer.
        retries: further attempts where an expansion gave no usable step.
        repeats: most times that one step may stand in an answer; 0 for no cap.
    """

    references: tuple[tuple[str, str], ...] = ()
    retriever: Retriever | None = None
    retrieval: Literal["similar", "random"] = "similar"
    guide: Literal["verifier", "none"] = "verifier"
    templates: Literal["masked", "model"] = "masked"
    k1: int = 4
    n1: int = 32
    alpha: float = 0.7
    mu: float = 0.7
    k2: int = 2
    fine: Literal["history", "try_retrieve"] = "history"
    mask: bool = False
    floor: float = 0.6
    simulations: int = 16
    branch: int = 4
    enough: int = 0
    bound: Bound = "uct"
    c: float = 1.4
    weight: float = 0.0
    depth: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.simulations < 1 or self.branch < 1 or min(self.k1, self.k2, self.enough) < 0:
            raise ConfigError("simulations and branch must be at least 1, k1, k2 and enough at least 0")
        if not (all(0 <= share <= 1 for share in (self.floor, self.alpha, self.mu, self.weight)) and self.c >= 0):
            raise ConfigError("floor, alpha, mu and weight must be in [0, 1] and c at least 0")
        if self.n1 < max(1, self.k1):
            raise ConfigError(f"n1 must be at least k1 and 1, got {self.n1!r}")
        if self.guide not in ("verifier", "none") or self.templates not in ("masked", "model"):
            raise ConfigError(f"no guide {self.guide!r} with templates {self.templates!r}")
        pairs = tuple((question, solution) for question, solution in self.references)  # from JSON they come as lists
        object.__setattr__(self, "references", pairs)

    def calls(self) -> dict[str, int]:
        """Most calls by role (the verifier's own come on top)."""
        asked = 1 + len(self.references) if self.templates == "model" else 0
        if self.guide == "none":
            return {"policy": asked + self.simulations}
        drafts = 2 if self.fine == "try_retrieve" else 1
        rolled = self.depth if self.weight else 0
        expanded = self.simulations * (self.branch * self.attempts * drafts + rolled)
        return {"policy": asked + expanded + self.depth * self.attempts}

    def access(self) -> frozenset[Access]:
        """What these settings need from the model."""
        return frozenset({Access.TEXT} if self.guide == "none" else {Access.TEXT, Access.PREFIX})

    def needs(self) -> tuple[str, ...]:
        """What else they need."""
        return () if self.guide == "none" else ("verifier",)

    async def run(self, task: Task, ctx: Context) -> Result:
        """Retrieve, search, decide."""
        if self.retriever is not None:  # settings are JSON
            ctx.settings = {**ctx.settings, "retriever": type(self.retriever).__name__}
        retriever, plan = await self._retriever(task, ctx)
        examples = retriever.problems(task.prompt, self.k1) if retriever is not None and self.k1 else []
        root = Node.root(task, ctx, messages=_with(task.messages, before=_problems(examples) + plan))
        self._note(ctx, root, examples)
        if self.guide == "none":
            drawn = await sample(replace(task, messages=root.config.messages), ctx, n=self.simulations)
            best = majority(drawn.groups)
            return ctx.result(drawn.candidates, best=best, stopped=drawn.stopped, detail=drawn.detail)
        search = Mcts(
            root,
            simulations=self.simulations,
            branch=self.branch,
            bound=self.bound,
            c=self.c,
            enough=self.enough,
            weight=self.weight,
            **self._level(task, ctx, root, retriever),
        )
        found = await step_search(task, ctx, root, search, self)
        statistics = [
            {"node": list(n.id), "visits": n.visits, "value": n.mean if n.known else n.value, "prior": n.prior}
            for n in root.walk()
        ]
        ctx.trace.instant("tree", ctx.span, simulations=search.simulations, nodes=statistics)
        return await conclude(task, ctx, found, decide)

    async def _retriever(self, task: Task, ctx: Context) -> tuple[Retriever | None, str]:
        """Return what retrieves, and the question's template as a plan for the prompt (model templates only)."""
        if self.retriever is not None:
            return self.retriever, ""
        pairs = without_leaks(self.references, task.prompt)
        if not pairs:
            return None, ""
        delimiter = self.delimiter or "\n"
        if self.retrieval == "random":
            return RandomRetriever(pairs, derive(ctx.seed, "retrieval", task.id), delimiter=delimiter), ""
        written = await self._templates([question for question, _ in pairs], task, ctx)
        retriever = LexicalRetriever(
            pairs,
            delimiter=delimiter,
            alpha=self.alpha,
            mu=self.mu,
            pool=self.n1,
            abstract=lambda question: written.get(question) or template(question),
        )
        plan = written.get(task.prompt, "")
        return retriever, f"This problem in general terms:\n{plan}\n\n" if plan else ""

    async def _templates(self, questions: Sequence[str], task: Task, ctx: Context) -> dict[str, str]:
        """Return the policy's templates of the references and of the question; those that failed are left out."""
        if self.templates == "masked":
            return {}
        wording = string.Template(files(__package__).joinpath("prompts/retrieval_mcts.md").read_text(encoding="utf-8"))
        law = replace(ctx.sampling, temperature=0.0, max_tokens=_TEMPLATE_TOKENS)

        async def write(question: str) -> str:
            chat = (Message("user", wording.substitute(question=question)),)
            try:  # no task in the path: with a response store the references are abstracted once for all tasks
                reply = await ctx.model().ask(chat, path=("template", question), sampling=law)
            except (ProviderError, BadInput, Interrupted) as err:
                ctx.trace.instant("no_template", ctx.span, question=question, reason=str(err))
                return ""
            return reply.text.strip()

        asked = list(dict.fromkeys((*questions, task.prompt)))
        texts = await gather_all([partial(write, question) for question in asked])
        return {question: text for question, text in zip(asked, texts, strict=True) if text}

    def _level(self, task: Task, ctx: Context, root: Node, retriever: Retriever | None) -> dict[str, Any]:
        """Return what the search calls for the fine level: nothing, a hint for each node, or one for each draft."""
        if retriever is None or not self.k2:
            return {}

        def shown(node: Node, steps: Sequence[Retrieved]) -> Config:
            kept = [step for step in steps if step.similarity >= self.floor]
            self._note(ctx, node, kept)
            return replace(root.config, messages=_with(root.config.messages, after=_steps(kept, mask=self.mask)))

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


def _steps(found: Sequence[Retrieved], *, mask: bool) -> str:
    if not found:
        return ""
    texts = [template(item.text) if mask else item.text for item in found]
    shown = "\n".join(f"- {text.strip()}" for text in texts)
    return f"\n\nSteps from similar problems that may help here (their numbers are not those of this problem):\n{shown}"


def _with(messages: tuple[Message, ...], before: str = "", after: str = "") -> tuple[Message, ...]:
    """Return the chat with text added around its last user message; unchanged where there is nothing to add."""
    at = next((i for i in reversed(range(len(messages))) if messages[i].role == "user"), len(messages) - 1)
    if not before and not after:
        return messages
    changed = replace(messages[at], text=f"{before}{messages[at].text}{after}")
    return (*messages[:at], changed, *messages[at + 1 :])

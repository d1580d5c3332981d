"""GenPRM: a model judges each step of a solution by reasoning, running code and a verdict whose probability counts.

Paper: Zhao et al. 2025, arXiv:2504.00891 (card 57). For each step the model writes an analysis and Python that checks
it, the code is run and its output shown, and the reward is p(Yes) / (p(Yes) + p(No)) at the boxed verdict, averaged
over `votes` verifications; earlier steps and their (first) verification stay in the chat. `critic` turns the first bad
step into a request to rethink, for the engine `refine`.
Differs: the wording is ours, the tags are those of the released weights; only the last box counts, and a solution with
a step without verdict has a missing score (released: 0.5); each vote has a namespace of its own (released: shared), and
it is kept by running the earlier blocks again in a fresh sandbox; the size of the text so far is taken as four
characters a token; how the paper makes one score of the steps is not known: the smallest, or as `aggregation` says.
Cost: `votes` times up to 1 + `rounds` + 1 calls of the role "judge" for each step of each distinct solution, in order.
Needs: continuation of a prefix; the likeliest tokens for probabilities (else the share of votes); bubblewrap, unless
`execute` is off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from string import Template
from typing import NamedTuple

from ponder.core.access import Access
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, MissingExtra, ProviderError
from ponder.core.metered import Metered
from ponder.core.model import Sampling
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.refine import Chain, Follow
from ponder.engines.tree import Prefix
from ponder.numerics.aggregation import Aggregation, aggregate
from ponder.numerics.progress_labels import first_error
from ponder.verifiers._shown import LONGEST, request_text
from ponder.verifiers.code_session import CodeSession
from ponder.verifiers.gen_prm_loop import END_CODE, Plan, Said, Templates, Verification, verify_step
from ponder.verifiers.gen_prm_text import analysis_text
from ponder.verifiers.sandbox import Confinement, Limits, installed_packages, require

__all__ = ["GenPRM", "Verified", "critic"]

logger = logging.getLogger(__name__)

_TOP = 20
_CHARACTERS_A_TOKEN = 4
_SHOWN = 2000  # characters of a program's output that the model sees


class Verified(NamedTuple):
    """What the verifier says of a solution.

    Attributes:
        rewards: of each step, in [0, 1]; those before the first one that could not be judged.
        texts: the first verification of each of them.
        problem: why a step could not be judged; empty where all were.
        ended: what ended the run there, where that was why.
    """

    rewards: tuple[float, ...]
    texts: tuple[str, ...]
    problem: str = ""
    ended: Interrupted | None = None


@verifiers(
    "gen_prm", card=57, paper="arXiv:2504.00891", fidelity="code", access=(Access.TEXT, Access.PREFIX), since="0.1"
)
@dataclass(frozen=True, kw_only=True)
class GenPRM:
    r"""Step rewards with reasons.

    Attributes:
        votes: verifications of each step, >= 1.
        analyse, verify, execute: write an analysis; write code; run it. All off: the verdict alone ("direct").
        rounds: most code blocks for a step, >= 1.
        max_tokens: most tokens of one verification, >= 1.
        temperature, top_p, top_k: of the verifier's law.
        seconds: wall and CPU time of one program, > 0.
        packages: let programs import what is installed beside ponder (sympy).
        aggregation: from step rewards to the score.
        delimiter: text between the steps of a solution.
        confinement: "bubblewrap", or "unconfined" for models that you trust with your machine.
    """

    votes: int = 1
    analyse: bool = True
    verify: bool = True
    execute: bool = True
    rounds: int = 3
    max_tokens: int = 2048
    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 20
    seconds: float = 5.0
    packages: bool = True
    aggregation: Aggregation = "min"
    delimiter: str = "\n\n"
    confinement: Confinement = "bubblewrap"

    def __post_init__(self) -> None:
        if self.votes < 1 or self.rounds < 1 or self.max_tokens < 1 or not self.seconds > 0 or not self.delimiter:
            raise ConfigError("gen_prm needs votes, rounds, max_tokens >= 1, seconds > 0 and a delimiter")
        if self.votes > 1 and not self.temperature:
            raise ConfigError("greedy verdicts are all alike: for votes > 1 set a temperature above 0")
        if self.execute and not self.verify:
            raise ConfigError("there is no code to run with verify=False: set execute=False too")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score every candidate; missing for failed calls, steps without verdict, no sandbox, or an ended run."""
        solutions = [self.steps(candidate.text) for candidate in candidates]
        scores = await self._score_all(task, solutions, ctx)
        return [
            score if candidate.ok else Score.missing(f"no answer: {candidate.error}")
            for candidate, score in zip(candidates, scores, strict=True)
        ]

    async def score_steps(self, task: Task, prefixes: Sequence[Prefix], ctx: Context) -> list[Score]:
        """Score partial answers, one value for each step; with a response store, shared steps are paid once."""
        return await self._score_all(task, [prefix.steps for prefix in prefixes], ctx)

    def steps(self, text: str) -> tuple[str, ...]:
        """Return the steps of a solution."""
        return tuple(step for part in text[:LONGEST].split(self.delimiter) if (step := part.strip()))

    def calls_a_step(self) -> int:
        """Return the most calls that one step takes."""
        if not self.verify:
            return self.votes * (1 + self.analyse)
        return self.votes * (self.analyse + self.rounds + 1)

    def check(self, ctx: Context) -> None:
        """Refuse a run that could not verify anything, before anything is spent.

        Raises:
            MissingExtra: the code cannot be run here.
            AccessDenied: the judge cannot continue a given beginning.
        """
        if self.execute and self.verify:
            require(self.confinement)
        ctx.model("judge").require(Access.PREFIX, what="gen_prm")

    async def verify_solution(
        self, task: Task, steps: Sequence[str], ctx: Context, *, first_bad: bool = False
    ) -> Verified:
        """Verify the steps of one solution in order, up to the first one that cannot be judged.

        Args:
            task: what it solves.
            steps: its steps.
            ctx: the run.
            first_bad: stop after the first bad step too.

        Raises:
            MissingExtra: the code cannot be run here.
            AccessDenied: the model cannot continue a given beginning.
        """
        self.check(ctx)
        model = ctx.model("judge")
        limits = Limits(seconds=self.seconds, cpu_seconds=max(1, round(self.seconds)))
        packages = installed_packages() if self.packages else ()
        sessions = [
            CodeSession(limits=limits, packages=packages, confinement=self.confinement) for _ in range(self.votes)
        ]
        images = tuple(image for message in task.messages for image in message.images)
        chat = [Message("system", _prompt("system" if self.analyse or self.verify else "direct"))]
        rewards: list[float] = []
        texts: list[str] = []
        for at, step in enumerate(steps):
            paragraph = f"{request_text(task)}\n\n{step}" if at == 0 else step
            chat.append(Message("user", paragraph, images=images if at == 0 else ()))
            ask = partial(self._verify, model, tuple(chat), task, at)
            try:
                found = await gather_all([partial(ask, vote, session) for vote, session in enumerate(sessions)])
            except Interrupted as err:
                return Verified(tuple(rewards), tuple(texts), f"step {at + 1} not judged: {err}", err)
            except (ProviderError, BadInput) as err:  # BadInput: the chat does not fit the judge's context
                return Verified(tuple(rewards), tuple(texts), f"the judge failed at step {at + 1}: {err}")
            reward = aggregate([one.reward for one in found if one.reward is not None], "mean")
            if reward is None:
                return Verified(tuple(rewards), tuple(texts), f"the verdict on step {at + 1} cannot be read")
            rewards.append(reward)
            texts.append(found[0].text)
            if first_bad and first_error([reward]) is not None:
                break
            chat.append(Message("assistant", found[0].text))
        return Verified(tuple(rewards), tuple(texts))

    async def _score_all(self, task: Task, solutions: Sequence[Sequence[str]], ctx: Context) -> list[Score]:
        distinct = list(dict.fromkeys(tuple(steps) for steps in solutions if steps))
        try:
            found = await gather_all([partial(self.verify_solution, task, steps, ctx) for steps in distinct])
        except MissingExtra as err:
            return [Score.missing(err) for _ in solutions]
        scores = {steps: self.score_of(verified) for steps, verified in zip(distinct, found, strict=True)}
        return [scores[tuple(steps)] if steps else Score.missing("there is no step to judge") for steps in solutions]

    def score_of(self, verified: Verified) -> Score:
        """Return a verification as a score: its steps' rewards, their aggregate, what is said of the first bad one."""
        if verified.problem:
            return Score.missing(verified.problem)
        bad = first_error(verified.rewards)
        reason = "" if bad is None else f"step {bad + 1}: {analysis_text(verified.texts[bad]) or ''}"[:500]
        return Score(value=aggregate(verified.rewards, self.aggregation), steps=verified.rewards, reason=reason)

    async def _verify(
        self, model: Metered, chat: tuple[Message, ...], task: Task, at: int, vote: int, session: CodeSession
    ) -> Verification:
        """Make one verification of the step that the chat ends with."""
        calls = 0

        async def say(text: str, stops: tuple[str, ...], most: int) -> Said:
            nonlocal calls
            calls += 1
            law = Sampling(
                temperature=self.temperature, top_p=self.top_p, top_k=self.top_k, max_tokens=most, stop=stops
            )
            top = _TOP if Access.TOP_LOGPROBS in model.access else None
            path = ("gen_prm", task.id, at, vote, calls)
            done = await model.ask(chat, path=path, sampling=law, prefix=text, logprobs=top)
            stop = done.stop
            if stop is None and done.finish == "stop":  # the back-end does not say: an open block ends as a block
                stop = END_CODE if END_CODE in stops and (text + done.text).count("```") % 2 else stops[-1]
            return Said(done.text + (stop or ""), done.tokens, done.finish == "length")

        async def execute(code: str) -> str:
            outcome = await session.run(code)
            return (outcome.problem or outcome.stdout.strip())[:_SHOWN]

        plan = Plan(
            analyse=self.analyse,
            verify=self.verify,
            execute=self.execute,
            rounds=self.rounds,
            max_tokens=self.max_tokens,
        )
        templates = Templates(
            f"<analyze>\nAnalysis of paragraph {at + 1}: ",
            "<verify>\nA check in Python:\n```python\n",
            "<output>\n**Judgement**: $\\boxed",
        )
        found = await verify_step(plan, templates, say=say, execute=execute, count=_tokens)
        if found.forced:
            logger.info("step %d, vote %d: the verdict was forced from the analysis", at + 1, vote)
        return found


def critic(
    verifier: GenPRM,
    task: Task,
    ctx: Context,
    *,
    steps: int | None = None,
    tell: Callable[[Candidate, Verified], None] | None = None,
) -> Follow:
    """Return what the engine `refine` asks for: the chat that makes the policy rethink its first bad step.

    The whole old solution stands as the assistant's turn (not only what came before the error). A solution without a
    bad step, or with one that could not be judged before it, is kept: no call. Steps after the first bad one are not
    judged: nothing depends on them. The paper takes up to three rounds.

    Args:
        verifier: judges each step.
        task: what the solutions are of.
        ctx: the run.
        steps: how many steps of a solution are judged; by default all.
        tell: called with each solution and what is said of it.

    The result raises what ended the run during a verification.
    """

    async def follow(chains: Sequence[Chain], round_: int) -> list[tuple[Message, ...] | None]:
        solutions = [verifier.steps(chain.attempts[-1].text)[:steps] for chain in chains]
        verify = partial(verifier.verify_solution, task, ctx=ctx, first_bad=True)
        found = await gather_all([partial(verify, steps=parts) for parts in solutions])
        if tell is not None:
            for chain, verified in zip(chains, found, strict=True):
                tell(chain.attempts[-1], verified)
        for verified in found:
            if verified.ended is not None:
                raise verified.ended
        return [
            _rethink(task, chain.attempts[-1], parts, verified)
            for chain, parts, verified in zip(chains, solutions, found, strict=True)
        ]

    return follow


def _rethink(task: Task, attempt: Candidate, steps: Sequence[str], verified: Verified) -> tuple[Message, ...] | None:
    """Return the chat that asks for another solution; None where no step is known to be bad."""
    bad = first_error(verified.rewards)
    if bad is None:
        return None
    said = analysis_text(verified.texts[bad]) or ""
    text = Template(_prompt("refine")).substitute(paragraph=steps[bad], analysis=said)
    return (*task.messages, Message("assistant", attempt.text), Message("user", text))


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_A_TOKEN)


@cache
def _prompt(name: str) -> str:
    file = resources.files("ponder.verifiers").joinpath(f"prompts/gen_prm_{name}.md")
    return file.read_text(encoding="utf-8").strip()

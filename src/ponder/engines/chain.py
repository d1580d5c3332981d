"""Markov chains over whole answers: cut one at a random token, let the model write the rest again, accept it or not.

Source: Faria & Smith 2025, arXiv:2504.03790 (QAlign, card 02), Metropolis-Hastings by suffix resampling.
A state is the list of its tokens' texts plus the end-of-text token: |y| = tokens + 1. An answer cut by the total cap
`max_tokens` counts as ended by a forced end of text, whatever the prefix that it grew from, so the law that the
chain samples is the model's law under that cap.
Differs: the prefix is handed over as text (`Request.prefix`), because only the back-end renders a chat; it may split
that text into other tokens than those that were sampled, and then the law is that of the text. Cuts stand where a
token has text: the parts of one character stay together. A proposal without a reward, broken off, failed, or cut
short by the budget or the context is not taken: the old state is repeated. A chain without any state yet starts afresh.
All chains take each step together, and rewards of equal texts are asked for once: the reward is a function.
Cost: one call per chain and step, of about half an answer, and one reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from ponder.core.candidate import Candidate, Score
from ponder.core.context import AnswerType, Context
from ponder.core.errors import BadInput, Interrupted, ProviderError, RequestRefused, Stopped
from ponder.core.model import Completion, Request, Tokens
from ponder.core.seeds import derive
from ponder.core.siblings import Draw
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.core.usage import Usage
from ponder.numerics.metropolis import CLAMP, acceptance, log_acceptance

__all__ = ["Chains", "Law", "run_chains"]


@dataclass(frozen=True, kw_only=True)
class Law:
    """What the chain converges to: p(y) exp(r(y) / beta).

    Attributes:
        beta: temperature of the reward, > 0.
        limit: rewards are clipped to [-limit, limit].
        clamp: the log of the acceptance ratio is clipped to [-clamp, clamp].
    """

    beta: float
    limit: float = 40.0
    clamp: float = CLAMP


@dataclass(frozen=True, kw_only=True)
class Chains:
    """What the chains did.

    Attributes:
        candidates: every proposal as a whole answer, in order; its metadata say "chain", "step", "cut", "accepted".
        states: for each chain the index in `candidates` of the state held after each step, with repeats.
        rewards: for each chain the rewards of these states.
        accepted: proposals taken, chain starts left out, and
        proposed: how many proposals there were.
        mean_cut: mean cut of the moves taken, in tokens; None without any.
        stopped, detail: why it ended.
    """

    candidates: tuple[Candidate, ...]
    states: tuple[tuple[int, ...], ...]
    rewards: tuple[tuple[float, ...], ...]
    accepted: int
    proposed: int
    mean_cut: float | None
    stopped: Stopped = "done"
    detail: str = ""


@dataclass(frozen=True)
class _State:
    """An answer that a chain can hold: its candidate's index, its tokens, where it can be cut, its reward."""

    index: int
    texts: tuple[str, ...]
    reward: float

    @property
    def cuts(self) -> list[int]:
        return _cuts(self.texts)


@dataclass(frozen=True)
class _Proposal:
    """A new answer beside the place where it was cut."""

    candidate: Candidate
    cut: int
    texts: tuple[str, ...] | None  # None: no state


async def run_chains(task: Task, ctx: Context, *, chains: int, steps: int, law: Law) -> Chains:
    """Start `chains` chains from independent samples and move each of them `steps` times.

    The starts are the samples 0..chains - 1 of the task, as other methods draw them.

    Args:
        task: what to answer.
        ctx: the run; its verifier gives the reward, its sampling law is p.
        chains: >= 1.
        steps: proposals after the start, >= 0.
        law: the target.

    Raises:
        ProviderError: every call failed; the last failure.
    """
    walk = _Walk(task, ctx, chains, law)
    for step in range(steps + 1):
        await walk.step(step)
        if walk.ended is not None:
            break
    return walk.result(steps)


class _Walk:
    """The chains on their way."""

    def __init__(self, task: Task, ctx: Context, chains: int, law: Law) -> None:
        self.task, self.ctx, self.law = task, ctx, law
        self.answers: AnswerType = ctx.answers(task)
        self.cap = ctx.sampling.max_tokens
        self.now: list[_State | None] = [None] * chains
        self.states: list[list[int]] = [[] for _ in range(chains)]
        self.rewards: list[list[float]] = [[] for _ in range(chains)]
        self.candidates: list[Candidate] = []
        self.known: dict[str, Score] = {}
        self.moves: list[int] = []
        self.proposed = 0
        self.ended: Interrupted | None = None

    async def step(self, step: int) -> None:
        """Propose for every chain, score what is new, move."""
        cuts = [self._cut(chain, step) for chain in range(len(self.now))]
        draws = await gather_all([partial(self._draw, chain, step, cut) for chain, cut in enumerate(cuts)])
        proposals: list[_Proposal | None] = []
        for chain, (draw, cut) in enumerate(zip(draws, cuts, strict=True)):
            proposals.append(None if draw is None else self._propose(draw, chain, step, cut))
            if draw is not None and draw.interrupted is not None:
                self.ended = draw.interrupted
        scores = await self._score([p for p in proposals if p is not None])
        for chain, (draw, proposal) in enumerate(zip(draws, proposals, strict=True)):
            if proposal is not None:
                self._move(chain, step, proposal, scores[proposal.candidate.index])
            elif draw is None:
                self.proposed += 1
                self.moves.append(self.cap)  # the forced end of text was drawn again: the same answer, accepted
            held = self.now[chain]
            if held is not None and (draw is None or draw.interrupted is None):
                self.states[chain].append(held.index)
                self.rewards[chain].append(held.reward)

    def _cut(self, chain: int, step: int) -> int:
        state = self.now[chain]
        if state is None:
            return 0
        return derive(self.ctx.seed, "chain", self.task.id, chain, step, "cut").choice(state.cuts)

    async def _draw(self, chain: int, step: int, cut: int) -> Draw | None:
        """Ask for the rest of an answer; None where nothing but the forced end of text is left to draw."""
        left = self.cap - cut
        if not left:
            return None
        state = self.now[chain]
        request = Request(
            messages=self.task.messages,
            prefix="" if state is None else "".join(state.texts[:cut]),
            sampling=replace(self.ctx.sampling, max_tokens=left),
            logprobs=0,
        )
        model = self.ctx.model()
        if step == 0:
            (draw,) = await model.sample(request, path=("sample", self.task.id), first=chain)
            return draw
        try:
            (draw,) = await model.sample(request, path=("chain", self.task.id, chain, step))
        except BadInput as err:  # as text the prefix may take more tokens than it was sampled with, and no longer fit
            return Draw(0, Usage(), error=RequestRefused(str(err)))
        return draw

    def _propose(self, draw: Draw, chain: int, step: int, cut: int) -> _Proposal | None:
        """Join prefix and continuation into a candidate; a call that was never sent is none."""
        if draw.completion is None and draw.error is None:
            return None
        state = self.now[chain]
        head = () if state is None else state.texts[:cut]
        place = {"chain": chain, "step": step, "cut": cut}
        index = len(self.candidates)
        texts: tuple[str, ...] | None = None
        if draw.completion is None:
            candidate = Candidate(index=index, usage=draw.usage, error=str(draw.error), metadata=place)
        else:
            whole = _join(head, draw.completion)
            candidate = Candidate(
                index=index,
                message=whole.message,
                answer=self.answers.extract(whole.text),
                finish=whole.finish,
                usage=draw.usage,
                completion=whole,
                metadata=place,
            )
            if whole.tokens is not None and self._ended_by_itself(whole):
                texts = whole.tokens.texts
        self.candidates.append(candidate)
        self.ctx.candidates.append(candidate)
        return _Proposal(candidate, cut, texts)

    def _ended_by_itself(self, whole: Completion) -> bool:
        """Whether the answer was ended by the model or by the total cap, and not by the budget or a cancellation."""
        if whole.finish == "length":
            return whole.tokens is not None and len(whole.tokens.texts) >= self.cap
        return whole.finish == "stop"

    async def _score(self, proposals: Sequence[_Proposal]) -> dict[int, Score]:
        """Return the reward of each proposal by candidate index; equal texts have equal rewards."""
        fresh: dict[str, Candidate] = {}
        for proposal in proposals:
            text = proposal.candidate.text
            if proposal.candidate.ok and text not in self.known:
                fresh.setdefault(text, proposal.candidate)
        if fresh:
            for candidate in await self.ctx.score(self.task, list(fresh.values())):
                self.known[candidate.text] = candidate.scores[self.ctx.verifier_name]
        return {
            p.candidate.index: self.known[p.candidate.text] if p.candidate.ok else Score.missing(p.candidate.error)
            for p in proposals
        }

    def _move(self, chain: int, step: int, proposal: _Proposal, score: Score) -> None:
        """Take the proposal or not; the first state of a chain is taken as it comes."""
        old, new = self.now[chain], self._state(proposal, score)
        chance = self._chance(old, new)
        taken = derive(self.ctx.seed, "chain", self.task.id, chain, step, "accept").random() < chance
        if old is not None:
            self.proposed += 1
            if taken:
                self.moves.append(proposal.cut)
        if taken:
            self.now[chain] = new
        self._note(proposal, score, taken, chance)

    def _state(self, proposal: _Proposal, score: Score) -> _State | None:
        if proposal.texts is None or score.value is None:
            return None
        reward = min(self.law.limit, max(-self.law.limit, score.value))
        return _State(proposal.candidate.index, proposal.texts, reward)

    def _chance(self, old: _State | None, new: _State | None) -> float:
        if new is None:
            return 0.0
        if old is None:
            return 1.0
        ratio = log_acceptance(
            old.reward,
            new.reward,
            beta=self.law.beta,
            length_old=len(old.cuts),
            length_new=len(new.cuts),
            clamp=self.law.clamp,
        )
        return acceptance(ratio)

    def _note(self, proposal: _Proposal, score: Score, taken: bool, chance: float) -> None:
        index = proposal.candidate.index
        known = {**proposal.candidate.metadata, "acceptance": chance, "accepted": taken}
        candidate = replace(proposal.candidate, metadata=known).scored(self.ctx.verifier_name, score)
        self.candidates[index] = candidate
        self.ctx.trace.instant("chain", self.ctx.span, **known, index=index, reward=score.value)

    def result(self, steps: int) -> Chains:
        failures = [c.error for c in self.candidates if c.error is not None]
        if failures and len(failures) == len(self.candidates):
            raise ProviderError(f"all {len(failures)} calls failed: {failures[-1]}")
        done = max(map(len, self.states), default=0)
        return Chains(
            candidates=tuple(self.candidates),
            states=tuple(map(tuple, self.states)),
            rewards=tuple(map(tuple, self.rewards)),
            accepted=len(self.moves),
            proposed=self.proposed,
            mean_cut=sum(self.moves) / len(self.moves) if self.moves else None,
            stopped="done" if self.ended is None else self.ended.reason,
            detail="" if self.ended is None else f"{self.ended}; {done} of {steps + 1} states",
        )


def _cuts(texts: Sequence[str]) -> list[int]:
    """Return where an answer can be cut, 0 included: after each token that has text. Their number is |y|."""
    return [0, *(at for at, text in enumerate(texts, 1) if text)]


def _join(head: tuple[str, ...], completion: Completion) -> Completion:
    """Return the whole answer as one completion; its tokens are known where the continuation's are."""
    message = replace(completion.message, text="".join(head) + completion.text)
    tokens = completion.tokens
    if tokens is not None and head:
        # Ids of the prefix are left out: the back-end may have split its text in another way.
        tokens = Tokens(ids=(-1,) * len(head) + tokens.ids, texts=head + tokens.texts)
    return replace(completion, message=message, tokens=tokens, certainty=completion.certainty if not head else None)

"""Sleep-time compute: think about a context before the question comes, keep the notes, and answer briefly from them.

Paper: arXiv:2504.13171 (card 37). Offline, a model rewrites notes about the context until it says that they are done;
several such sleeps can be joined. At question time a cheap, short answer is given with the notes in view. One sleep
serves all questions about its context: with `keep` it is kept on disk, and without one a response store makes equal
sleeps one call. `rounds=0` is the paper's baseline without a sleep, and
`context_only` the one that never sees the question: it guesses it from the context and answers that.
Differs: a loop with the mark DONE in place of tool calls; the prompts are ours. What is known before is
`metadata["context"]` (with `metadata["question"]`), or what that file has under `metadata["context_id"]`, else all that
stands before the last question of the prompt, decimals left whole. A sleep that the end of a budget or a failure broke
off is used and not kept; none is begun that would leave the answer no room. Skipping the sleep where the question is
not predictable is ours (`least`).
Cost: at most sleeps * rounds calls of the role "sleeper" for a context, once, and one of the policy for each question.
What a kept sleep cost is not in the usage of later runs: the study amortises it.
Needs: nothing beyond text; `least` needs a model that scores text.
When: several questions about one document, code base or problem, and time before they come.
When not: one question on each context, or questions that its text does not suggest: the sleep is then spent in vain.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

from ponder.core.access import Access
from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, Stopped
from ponder.core.model import Request
from ponder.core.registry import strategies
from ponder.core.result import Result
from ponder.core.task import Message, Task
from ponder.core.usage import Usage
from ponder.engines.asking import call, prompts
from ponder.engines.refine import with_question
from ponder.engines.sample import sample
from ponder.engines.sleep_store import Learned, SleepStore, digest_of
from ponder.engines.waves import Claim, fits
from ponder.numerics.sleep_costs import cut_at_sentence, split_question
from ponder.strategies._predictability import log_prob_of
from ponder.strategies._sleep_notes import EMPTY, read_notes

__all__ = ["SleepTime", "read_notes"]

_VERSION = 1  # of the prompts: notes made with others are other notes
_TOKENS_PER_CHARACTER = 1.0  # at most


class _Known(NamedTuple):
    """What is known before the question, and the chat that asks it."""

    context: str
    question: str
    messages: tuple[Message, ...]


class _Slept(NamedTuple):
    """Notes, what they cost in this run, and whether the sleep came to its end."""

    text: str
    usage: Usage
    whole: bool
    ended: Interrupted | None = None


@strategies(
    "sleep_time",
    card=37,
    paper="arXiv:2504.13171",
    fidelity="code",
    tags={
        "what": ("sequential", "efficiency"),
        "how": ("prompting", "revision"),
        "where": ("math", "code", "agents"),
        "how_well": ("efficiency", "accuracy"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class SleepTime:
    """Notes before the question.

    Attributes:
        sleeps: independent sleeps whose notes are joined, >= 1.
        rounds: most rewritings of the notes in each, >= 0; 0 for no sleep.
        verbosity: of the answer, 0 (one sentence) to 4 (step by step, checking the notes).
        include_context: whether the question comes with the raw context, as in the released code.
        sleep_tokens: most tokens of a rewriting, >= 1.
        memory_limit: most characters of the notes of one sleep, >= 1.
        keep: file that keeps the notes, "" for none.
        offline: only sleep, on the whole prompt, and return the notes.
        context_only: do not sleep, and do not show the question: guess it and answer.
        least: mean log-probability of a token of the question, given the context, below which no sleep is begun for it.
    """

    sleeps: int = 1
    rounds: int = 10
    verbosity: int = 3
    include_context: bool = True
    sleep_tokens: int = 512
    memory_limit: int = 5000
    keep: str = ""
    offline: bool = False
    context_only: bool = False
    least: float | None = None

    def __post_init__(self) -> None:
        if self.sleeps < 1 or self.rounds < 0 or self.sleep_tokens < 1 or self.memory_limit < 1:
            raise ConfigError("needs sleeps, sleep_tokens and memory_limit >= 1, and rounds >= 0")
        if not 0 <= self.verbosity <= 4:
            raise ConfigError(f"verbosity is 0 to 4, got {self.verbosity!r}")
        if self.offline and (self.context_only or not self.rounds):
            raise ConfigError("offline=True needs rounds >= 1, and goes with no context_only")

    def access(self) -> frozenset[Access]:
        """What the model must give."""
        return frozenset({Access.TEXT} | ({Access.SCORE} if self.least is not None else set()))

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        own = 0 if self.offline else 1 + (self.least is not None and not self.context_only)
        return {"policy": own, "sleeper": 0 if self.context_only else self.sleeps * self.rounds}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Sleep, or find what was slept on; then answer."""
        if not self.keep:
            return await self._run(task, ctx, None)
        with closing(SleepStore(self.keep)) as kept:
            return await self._run(task, ctx, kept)

    async def _run(self, task: Task, ctx: Context, kept: SleepStore | None) -> Result:
        known = self._known(task, kept)
        notes = _Slept("", Usage(), True)
        if self.context_only:
            known = self._guessed(known)
        elif known.context and self.rounds and await self._worth(ctx, known):
            notes = await self._notes(task, ctx, known, kept)
        if self.offline:
            return self._offline(task, ctx, notes)
        if notes.ended is not None and notes.ended.reason != "budget":
            raise notes.ended
        asking = replace(task, messages=self._chat(known, notes.text))
        drawn = await sample(asking, ctx, n=1)
        facts = {"notes": len(notes.text), "sleep_calls": notes.usage.calls}
        found = [replace(c, metadata={**c.metadata, **facts}) for c in drawn.candidates]
        best = 0 if found and found[0].ok else None
        return ctx.result(found, best=best, stopped=drawn.stopped, detail=drawn.detail)

    def _offline(self, task: Task, ctx: Context, notes: _Slept) -> Result:
        """Return the notes as the answer."""
        found = []
        if notes.text:
            message = Message("assistant", notes.text)
            answer = ctx.answers(task).extract(notes.text)
            found = [Candidate(index=0, message=message, answer=answer, finish="stop", usage=notes.usage)]
        stopped: Stopped = notes.ended.reason if notes.ended else "done" if found else "endpoint"
        detail = str(notes.ended) if notes.ended else "" if found else "no notes came back"
        return ctx.result(found, best=0 if found else None, stopped=stopped, detail=detail)

    def _guessed(self, known: _Known) -> _Known:
        """Return a chat that holds the context alone and asks for a guess of the question and its answer."""
        if not known.context:
            raise BadInput("context_only needs a context: nothing stands before the question")
        text = prompts(__package__, "sleep_time")["guess"].substitute(context=known.context)
        return _Known(known.context, "", (Message("user", text),))

    def _known(self, task: Task, kept: SleepStore | None) -> _Known:
        """Tell the context from the question."""
        facts = task.metadata
        context = facts.get("context")
        if self.offline:
            return _Known(str(context or "\n".join(m.text for m in task.messages)).strip(), "", task.messages)
        if context is not None:
            question = str(facts.get("question") or split_question(task.prompt).question)
            return _Known(str(context).strip(), question, task.messages)
        if kept is not None and facts.get("context_id") and (found := kept.find(str(facts["context_id"]))):
            whole = with_question(task, f"{found.context}\n\n{task.prompt}")
            return _Known(found.context, task.prompt, whole)
        split = split_question(task.prompt)
        earlier = [m.text for m in task.messages if m.text != task.prompt]
        return _Known("\n".join(filter(None, [*earlier, split.context])).strip(), split.question, task.messages)

    async def _worth(self, ctx: Context, known: _Known) -> bool:
        """Whether the question is likely enough, given its context, for a sleep to pay."""
        if self.least is None or self.offline:
            return True
        found = await log_prob_of(ctx, known.context, known.question)
        ctx.trace.instant("predictability", ctx.span, total=found.total, mean=found.mean, least=self.least)
        return found.mean >= self.least

    async def _notes(self, task: Task, ctx: Context, known: _Known, kept: SleepStore | None) -> _Slept:
        """Return the notes about a context, from the store where they are there."""
        if kept is None:
            return await self._sleep_all(ctx, known)
        name = str(task.metadata.get("context_id") or "")
        sleeper = ctx.model("sleeper")
        facts = {
            "prompts": _VERSION,
            "sleeps": self.sleeps,
            "rounds": self.rounds,
            "sleep_tokens": self.sleep_tokens,
            "memory_limit": self.memory_limit,
            "temperature": ctx.sampling.temperature,
            "top_p": ctx.sampling.top_p,
            "seed": ctx.seed,
        }
        key = SleepStore.key(known.context, sleeper.info.fingerprint, facts)
        async with kept.flight(key):
            found = kept.get(key, name)
            ctx.trace.instant("sleep_store", ctx.span, hit=found is not None, context_id=name)
            if found is not None:
                return _Slept(found.memory, Usage(), True)
            slept = await self._sleep_all(ctx, known)
            if slept.whole and slept.text:
                learned = Learned(
                    context=known.context,
                    memory=slept.text,
                    model=sleeper.name,
                    usage=slept.usage,
                    context_id=name,
                    facts=facts,
                )
                kept.put(key, learned)
            return slept

    async def _sleep_all(self, ctx: Context, known: _Known) -> _Slept:
        """Sleep as often as asked, and join the notes under numbered headings."""
        slept: list[_Slept] = []
        for number in range(self.sleeps):
            slept.append(await self._sleep(ctx, known, number))
            if not slept[-1].whole:
                break
        texts = [found.text for found in slept if found.text]
        if len(texts) > 1:
            texts = [f"Notes {number}:\n{text}" for number, text in enumerate(texts, 1)]
        usage = sum((found.usage for found in slept), Usage())
        return _Slept("\n\n".join(texts), usage, all(found.whole for found in slept), slept[-1].ended)

    async def _sleep(self, ctx: Context, known: _Known, number: int) -> _Slept:
        """Rewrite the notes until they are done."""
        template = prompts(__package__, "sleep_time")["sleep"]
        law = replace(ctx.sampling, max_tokens=self.sleep_tokens)
        memory, usage = "", Usage()
        for turn in range(self.rounds):
            text = template.substitute(context=known.context, memory=memory or EMPTY)
            chat = [Message("user", text)]
            if not self._room(ctx, chat, known):
                return _Slept(memory, usage, False)
            # Named by the context alone: all questions about it share one sleep.
            path = ("sleep", digest_of(known.context), number, turn)
            drawn = await call(ctx, chat, path=path, role="sleeper", law=law)
            if drawn.candidate is None or drawn.ended is not None or not drawn.candidate.ok:
                return _Slept(memory, usage, False, drawn.ended)
            usage += drawn.candidate.usage
            notes, done = read_notes(drawn.text, template.substitute(context=known.context, memory=EMPTY))
            memory = cut_at_sentence(notes, self.memory_limit) if notes else memory
            ctx.trace.instant("rethink", ctx.span, sleep=number, turn=turn, text=notes, done=done)
            if done or not notes:
                break
        return _Slept(memory, usage, True)

    def _room(self, ctx: Context, chat: list[Message], known: _Known) -> bool:
        """Whether one more rewriting is sure to leave what the answer may need."""
        asking = self._claim(ctx, chat, "sleeper", self.sleep_tokens, 0)
        if self.offline:
            return fits(ctx, [asking], 0)
        longest = int(self.sleeps * self.memory_limit * _TOKENS_PER_CHARACTER)
        answer = self._claim(ctx, self._chat(known, EMPTY), "policy", ctx.sampling.max_tokens, longest)
        return fits(ctx, [asking, answer], 0)

    def _claim(
        self, ctx: Context, chat: tuple[Message, ...] | list[Message], role: str, completion: int, more: int
    ) -> Claim:
        counted = ctx.model(role).count(Request(messages=tuple(chat))).tokens
        return Claim(calls=1, completion=completion, prompt=counted + more, role=role)

    def _chat(self, known: _Known, memory: str) -> tuple[Message, ...]:
        """Return the chat of the answer; without notes it is that of the baseline."""
        texts = prompts(__package__, "sleep_time")
        rules = [texts[f"level{self.verbosity}"].template]
        if memory:
            use = texts["check" if self.verbosity == 4 else "use"].template
            rules = [texts["memory"].substitute(memory=memory), use, *rules]
        messages = known.messages
        if not self.include_context and memory:
            (*_, last) = messages
            messages = (replace(last, text=known.question),)
        first, *rest = messages
        system = "\n\n".join(rules)
        if first.role == "system":
            return (replace(first, text=f"{first.text}\n\n{system}"), *rest)
        return (Message("system", system), *messages)

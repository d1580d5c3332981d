"""Thinking judge (J1): compares two answers after a thought that is made longer by "Wait", then gives its verdict.

Paper: Chan et al. 2025, arXiv:2505.11875 (J1, card 08): simple test-time scaling for judges. The recipe, the prompt and
the levels are not published; they follow the card: budget forcing, [[A]] or [[B]] behind the end of thinking.
Differs: reconstructed; no ties from the judge itself, but two orders that disagree are one, and so is an even vote. The
judge is not trained here: the paper finds that thinking longer pays after reinforcement learning, and that other judges
may get worse. Measure with `per_round` and `ponder.numerics.judging.rounds_of`, which counts flips both ways.
Cost: for each presentation and vote 2 + `cues` calls of the role "judge", and `cues` short ones with `per_round`; n
distinct answers have n (n - 1) presentations (half without `swap`).
Needs: continuation of a given prefix.
When: a judge trained to reflect, such as the released one served by vLLM or llama.cpp:
    ponder solve "..." --method best_of_n --verifier thinking_judge --judge openai:http://localhost:8000/v1#J1_7B_RL
When not: judges that are not trained to reflect, and single answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

from ponder.core.access import Access
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, ProviderError
from ponder.core.model import Sampling
from ponder.core.registry import verifiers
from ponder.core.task import Message, Task
from ponder.core.tasks import gather_all
from ponder.engines.thinking import MARKERS, Ledger, Markers, Pace, Thought, answer_after, asked, growth, think, writer
from ponder.numerics.judging import Letter, read_letter
from ponder.verifiers._pairs import Heard, Shown, compare_all, most_said
from ponder.verifiers._shown import LONGEST, filled, request_text

__all__ = ["Judgement", "ThinkingJudge"]


class Judgement(NamedTuple):
    """What one thought about a pair came to.

    Attributes:
        verdict: the final one; None where there is none.
        rounds: verdicts after 0, 1, ... cues, the last one final; only the final one unless asked for.
        cues: given.
        tokens: of thinking, cues included.
        text: of the thought.
        reason: why there is no verdict.
    """

    verdict: Letter | None
    rounds: tuple[Letter | None, ...] = ()
    cues: int = 0
    tokens: int = 0
    text: str = ""
    reason: str = ""


@verifiers(
    "thinking_judge",
    card=8,
    paper="arXiv:2505.11875",
    fidelity="reconstructed",
    access=(Access.PREFIX,),
    tags={
        "what": ("sequential", "internal"),
        "how": ("stimulation", "outcome"),
        "where": ("evaluation",),
        "how_well": ("accuracy", "scalability"),
    },
    since="0.3",
)
@dataclass(frozen=True, kw_only=True)
class ThinkingJudge:
    """Compares answers two by two, thinking.

    Attributes:
        cues: how often a thought that ended by itself is continued, >= 0: the level of test-time scaling.
        thinking: most thinking tokens, >= 1.
        cue: the text that a thought is continued behind.
        verdict: most tokens of a verdict, >= 1.
        votes: thoughts on each presentation, of which the majority counts, >= 1.
        swap: show each pair in both orders; where they disagree the pair is a tie.
        opponents: 0 compares all pairs; else each answer meets so many neighbours on either side.
        per_round: ask for the verdict at each cue as well, for the trace; it changes no score.
        markers: how the judge sets its thinking off.
        temperature: of thought and verdict; 0 is greedy, and must be above 0 for more than one vote.
    """

    cues: int = 1
    thinking: int = 7000
    cue: str = "Wait"
    verdict: int = 512
    votes: int = 1
    swap: bool = True
    opponents: int = 0
    per_round: bool = False
    markers: Literal["think", "thought", "m1", "scratchpad"] = "think"
    temperature: float = 0.0

    def __post_init__(self) -> None:
        self._pace()
        if self.verdict < 1 or self.votes < 1 or self.opponents < 0 or not self.temperature >= 0:
            raise ConfigError("the judge needs verdict >= 1, votes >= 1, opponents >= 0 and temperature >= 0")
        if self.votes > 1 and not self.temperature:
            raise ConfigError("greedy verdicts are all alike: for votes > 1 set a temperature above 0")
        if self.markers not in MARKERS:
            raise ConfigError(f"markers must be one of {', '.join(MARKERS)}, got {self.markers!r}")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score every candidate by its comparisons; missing for a lone answer, or where no verdict can be had."""

        async def ask(first: Shown, second: Shown) -> Heard:
            found = await gather_all(
                [partial(self._judge, task, first, second, ctx, vote) for vote in range(self.votes)]
            )
            return most_said([Heard(one.verdict, one.reason) for one in found])

        return await compare_all(candidates, ask, swap=self.swap, opponents=self.opponents)

    async def judge(self, task: Task, first: str, second: str, ctx: Context, *, number: int = 0) -> Judgement:
        """Judge one presentation of two answers by one thought.

        Args:
            task: what was asked.
            first: the answer that is shown first.
            second: the other one.
            ctx: the run.
            number: names the draw, for several thoughts or pairs of one task.
        """
        return await self._judge(task, Shown(first, 2 * number), Shown(second, 2 * number + 1), ctx, 0)

    def _pace(self) -> Pace:
        return Pace(budget=self.thinking, cues=self.cues, cue=self.cue)

    async def _judge(self, task: Task, first: Shown, second: Shown, ctx: Context, vote: int) -> Judgement:
        own = MARKERS[self.markers]
        markers = replace(own, cut=f"{own.close}Final verdict: ")
        ledger = Ledger()
        try:
            found = await self._think(
                task, first, second, ctx, markers, ledger, path=("j1", task.id, first.number, second.number, vote)
            )
        except (ProviderError, BadInput) as err:  # BadInput: the answers do not fit the judge's context
            return Judgement(None, reason=f"the judge failed: {err}")
        if found.verdict is None and ledger.interrupted is not None:
            return found._replace(reason=f"not judged: {ledger.interrupted}")
        ctx.trace.instant(
            "judgement",
            ctx.span,
            pair=[first.number, second.number],
            vote=vote,
            verdict=found.verdict,
            rounds=list(found.rounds),
            cues=found.cues,
            tokens=found.tokens,
        )
        return found

    async def _think(
        self,
        task: Task,
        first: Shown,
        second: Shown,
        ctx: Context,
        markers: Markers,
        ledger: Ledger,
        *,
        path: tuple[str | int, ...],
    ) -> Judgement:
        law = Sampling(temperature=self.temperature, top_p=1.0)
        messages = self._chat(task, first, second, markers)
        make = partial(writer, ctx, messages, before=markers.open, role="judge", ledger=ledger)
        added = growth(ctx, messages, markers.open, "judge")
        thought = await think(
            make(sampling=replace(law, stop=markers.stops), path=(*path, "think"), thinking=True), added, self._pace()
        )
        if ledger.interrupted is not None:
            return Judgement(None, cues=thought.cues, tokens=thought.tokens, text=thought.text)
        rounds: list[Letter | None] = []
        reason = ""
        shorter = [_until(thought, place) for place in thought.places] if self.per_round else []
        # The final verdict is drawn first, so that it is the same whether the others are asked for or not.
        for number, part in enumerate([thought, *shorter]):
            write = make(sampling=law, path=(*path, "verdict", number))
            _, piece = await answer_after(write, part, markers, self.verdict)
            if _broken(ledger):
                break  # what is broken off is no verdict, even where its words so far would read as one
            # A judge may think once more; only what stands behind the end of it is a verdict.
            rounds.append(read_letter(piece.text.rpartition(markers.stops[0])[2]))
            if not number and rounds[0] is None:
                reason = "the judge's verdict cannot be read" + (" (it was cut)" if piece.finish == "length" else "")
        if not rounds:
            return Judgement(None, cues=thought.cues, tokens=thought.tokens, text=thought.text)
        final, *earlier = rounds
        return Judgement(final, (*earlier, final), thought.cues, thought.tokens, thought.text, reason)

    def _chat(self, task: Task, first: Shown, second: Shown, markers: Markers) -> tuple[Message, ...]:
        shown = filled(
            "thinking_judge.md",
            task,
            request=request_text(task),
            first=first.text[:LONGEST],
            second=second.text[:LONGEST],
        )
        return asked(shown, markers)


def _broken(ledger: Ledger) -> bool:
    """Return whether a call was refused or broken off since it was last asked."""
    return ledger.interrupted is not None


def _until(thought: Thought, place: int) -> Thought:
    """Return a thought as it would have been without the cue at `place` and what followed."""
    text = thought.text[:place]
    return replace(thought, text=text if text.endswith("\n") else f"{text}\n", finish="stop")

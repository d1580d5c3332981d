"""One thought under a budget and the answer behind it, as one candidate with its account.

Source: our own (DESIGN §5), on top of the engine `thinking`; used by budget forcing (card 07), by translation under a
budget and post-editing (card 03).
Without a pace nothing is thought: the thought is opened and closed empty, as chat templates do that can switch thinking
off; markers that only ask for notes then ask for none, and the chat is answered as it is.
Cost: at most 2 + cues calls; one without a pace.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ponder.core.candidate import Candidate
from ponder.core.context import Context
from ponder.core.errors import BadInput, ProviderError
from ponder.core.model import Sampling
from ponder.core.task import Message, Task
from ponder.engines.thinking import Ledger, Markers, Pace, Piece, Thought, answer_after, growth, think, writer

__all__ = ["Reasoned", "reason"]


@dataclass(frozen=True, kw_only=True)
class Reasoned:
    """What came of one thought.

    Attributes:
        ledger: what it cost, and whether it was broken off.
        thought: None where the call failed, or nothing was to be thought.
        closing: what stands between thought and answer; empty where there is no answer.
        piece: the answer; None where the call failed.
        error: the failure.
    """

    ledger: Ledger
    thought: Thought | None = None
    closing: str = ""
    piece: Piece | None = None
    error: str | None = None

    def candidate(self, task: Task, ctx: Context, index: int, **metadata: Any) -> Candidate:
        """Return it as a candidate, and note it as one that the run has."""
        if self.piece is None:
            return Candidate(index=index, usage=self.ledger.usage, error=self.error, metadata=metadata)
        thought = self.thought
        ctx.trace.instant(
            "thought",
            ctx.span,
            index=index,
            tokens=0 if thought is None else thought.tokens,
            cues=0 if thought is None else thought.cues,
            finish="stop" if thought is None else thought.finish,
        )
        found = Candidate(
            index=index,
            message=Message("assistant", self.piece.text, reasoning=None if thought is None else thought.text),
            answer=ctx.answers(task).extract(self.piece.text),
            finish="cancelled" if self.ledger.interrupted is not None else self.piece.finish,
            usage=self.ledger.usage,
            metadata={
                "thinking_tokens": 0 if thought is None else thought.tokens,
                "cues": 0 if thought is None else thought.cues,
                "thinking_finish": "stop" if thought is None else thought.finish,
                "closing": self.closing,
                **metadata,
            },
        )
        ctx.candidates.append(found)
        return found


async def reason(
    ctx: Context,
    messages: tuple[Message, ...],
    *,
    markers: Markers,
    pace: Pace | None,
    answer: int,
    path: tuple[str | int, ...],
    sampling: Sampling | None = None,
    role: str = "policy",
    ends: tuple[str, ...] = (),
) -> Reasoned:
    """Think, close the thought, answer; a call that failed comes back as such.

    Args:
        ctx: the run.
        messages: the chat, with the instruction of the markers where they have one.
        markers: of the model.
        pace: how much is thought; None for nothing.
        answer: most tokens of the answer, >= 1.
        path: names the place of the draws.
        sampling: the law; by default the context's.
        role: whose model writes.
        ends: texts that end the answer, beside those of the law.

    Raises:
        AccessDenied: the model cannot continue a given prefix.
    """
    law = sampling or ctx.sampling
    ledger = Ledger()
    law_of_answer = replace(law, stop=(*law.stop, *ends))
    make = partial(writer, ctx, messages, before=markers.open, role=role, ledger=ledger)

    added = growth(ctx, messages, markers.open, role)
    try:
        if pace is None:
            plain = bool(markers.ask)
            write = writer(
                ctx,
                messages,
                sampling=law_of_answer,
                path=("answer", *path),
                before="" if plain else f"{markers.open}\n{markers.close}",
                role=role,
                ledger=ledger,
            )
            piece = await write("", answer)
            return Reasoned(ledger=ledger, closing="" if plain else markers.close, piece=piece)
        law_of_thought = replace(law, stop=(*law.stop, *markers.stops))
        thought = await think(make(sampling=law_of_thought, path=("think", *path), thinking=True), added, pace)
        if ledger.interrupted is not None:
            return Reasoned(ledger=ledger, thought=thought, piece=Piece("", 0, "length"))
        write = make(sampling=law_of_answer, path=("answer", *path))
        closing, piece = await answer_after(write, thought, markers, answer)
    except (ProviderError, BadInput) as err:  # BadInput: the chat does not fit the model's context
        return Reasoned(ledger=ledger, error=str(err))
    return Reasoned(ledger=ledger, thought=thought, closing=closing, piece=piece)

"""Budget forcing as its authors' code does it, over a batch: for comparison only; ours is `ponder.engines.thinking`.

Source: Huang et al. 2025, arXiv:2504.00869 (card 07), released code: "Wait" is not counted, stands behind a space only
where the text already ends in one, and all samples of a round share the limit of the one with the fewest tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Call", "Released", "released_budget_forcing"]

# Prompts and most tokens of each to what each wrote: (text, "stop" or "length").
BatchWriter = Callable[[Sequence[int], Sequence[str], int], Sequence[tuple[str, str]]]


class Call(NamedTuple):
    """One request to the server: prompts, the limit they share, and what came back."""

    prompts: tuple[str, ...]
    max_tokens: int
    returned: tuple[tuple[str, str], ...]


@dataclass
class Released:
    """One sample of the batch.

    Attributes:
        prompt: chat and opening marker.
        text: thought so far, and
        reason: why it ended.
        count: tokens as the code counts them, at the end with newline, prefix and answer.
        cues: given.
        thinking: real tokens of the thought, cues included (ours).
        prefix, answer, finish: of the answer.
    """

    prompt: str
    text: str = ""
    reason: str = ""
    count: int = 0
    cues: int = 0
    thinking: int = 0
    prefix: str = ""
    answer: str = ""
    finish: str = ""
    calls: list[Call] = field(default_factory=list, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the fields under the names of the released code."""
        return {
            "response_text": self.prefix + self.answer,
            "finish_reason": self.finish,
            "num_gen_tokens": self.count,
            "thinking_text": self.text,
            "thinking_finish_reason": self.reason,
            "num_keep_think_below_budget": self.cues,
            "answer_prefix": self.prefix,
            "thinking_tokens_true": self.thinking,
        }


def released_budget_forcing(
    prompts: Sequence[str],
    write: BatchWriter,
    count: Callable[[str], int],
    *,
    budget: int,
    waits: int,
    answer: int,
    cue: str,
    prefix_stop: str,
    prefix_length: str,
) -> tuple[list[Released], list[Call]]:
    """Run the released loop over a batch.

    Args:
        prompts: chats with the opening marker.
        write: (numbers of the samples, their prompts, most tokens) -> pieces.
        count: tokens of a text.
        budget: most thinking tokens, as the code counts them.
        waits: cues of each sample at most.
        answer: most tokens of an answer.
        cue: "Wait".
        prefix_stop: of an answer behind a thought that ended by itself.
        prefix_length: behind one that was cut.
    """
    samples = [Released(prompt) for prompt in prompts]
    calls: list[Call] = []

    def send(numbers: Sequence[int], tails: Sequence[str], most: int) -> Sequence[tuple[str, str]]:
        asked = tuple(samples[at].prompt + tail for at, tail in zip(numbers, tails, strict=True))
        returned = tuple(write(numbers, asked, most))
        calls.append(Call(asked, most, returned))
        return returned

    everyone = range(len(samples))
    for sample, (text, reason) in zip(samples, send(everyone, [""] * len(samples), budget), strict=True):
        sample.text, sample.reason, sample.count = text, reason, count(text)
    for _ in range(waits):
        going = []
        for at, sample in enumerate(samples):
            ends_in_space = sample.text.endswith(" ")  # inverted: a newline needs none, a word would
            put = f" {cue}" if ends_in_space else cue
            if sample.count < budget and sample.count + count(put) < budget:
                sample.text += put
                going.append((at, sample.count + count(put)))
        if not going:
            break
        numbers = [at for at, _ in going]
        limit = budget - min(total for _, total in going)
        pieces = send(numbers, [samples[at].text for at in numbers], limit)
        for at, (text, reason) in zip(numbers, pieces, strict=True):
            sample = samples[at]
            sample.text, sample.reason = sample.text + text, reason
            sample.count, sample.cues = sample.count + count(text), sample.cues + 1
    for sample in samples:
        sample.thinking = count(sample.text)
        if not sample.text.endswith("\n"):
            sample.text += "\n"
            sample.count += count("\n")
        sample.prefix = prefix_stop if sample.reason == "stop" else prefix_length
        sample.count += count(sample.prefix)
    for sample, (text, reason) in zip(
        samples, send(everyone, [sample.text + sample.prefix for sample in samples], answer), strict=True
    ):
        sample.answer, sample.finish, sample.count = text, reason, sample.count + count(text)
    return samples, calls

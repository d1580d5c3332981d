"""What a light process reward model sees of each step of an answer: how sure the model was, and its hidden state.

Source: our own: token log-probabilities, how far they are below the likeliest token's, certainty (card 26,
arXiv:2502.18581) and hidden states at the end of a step, as probes of correctness (Kadavath et al. 2022,
arXiv:2207.05221; Azaria & Mitchell 2023, arXiv:2304.13734).
Cost: one pass over the prompt and the answer, for all steps of the answer; passes made together share a batch, and a
prompt that was read before is not read again. Needs: `Access.SCORE` for "certainty", `Access.HIDDEN` for "hidden".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from ponder.core.access import Access
from ponder.core.errors import BadReply, ConfigError
from ponder.core.model import Model, Request, Scorer
from ponder.core.task import Task
from ponder.core.usage import Usage

__all__ = ["ACCESS", "STEP_FEATURES", "Features", "Seen", "read_steps", "step_statistics"]

Features = Literal["certainty", "hidden"]
ACCESS: dict[Features, Access] = {"certainty": Access.SCORE, "hidden": Access.HIDDEN}
# Of the newest step: mean and least log-probability of a token, mean and least certainty, least margin; of all steps:
# the least and the mean of the steps' least log-probabilities, the mean log-probability, the least margin; how many
# steps, and tokens in the newest.
STEP_FEATURES = 11


class Seen(NamedTuple):
    """One vector per step, and what was really paid for the pass where it is known to be less than its tokens."""

    vectors: list[list[float]]
    paid: Usage | None


async def read_steps(
    model: Model, task: Task, steps: Sequence[str], features: Features, *, layers: Sequence[int] = ()
) -> Seen:
    """Read an answer and return what each of its steps looks like; a step never depends on what follows it.

    Args:
        model: a back-end with the access that `features` needs.
        task: what is answered.
        steps: at least one, which spell the answer when joined.
        features: "certainty" (`STEP_FEATURES` numbers), or "hidden": these and hidden states after the step's last
            token, one for each of `layers`.
        layers: which hidden states: 0 are the embeddings, then each layer's output.

    Raises:
        BadInput: the answer does not fit the context, or there is no such layer.
        BadReply: the back-end does not tell what it must.
        ConfigError: the model gives no such access.
    """
    if ACCESS[features] not in model.access:
        raise ConfigError(f"{features} features need {ACCESS[features]}, which {model.name} does not give")
    return await (_certainty(model, task, steps) if features == "certainty" else _hidden(model, task, steps, layers))


def step_statistics(
    steps: Sequence[tuple[int, int]], logprobs: Sequence[float], certainty: Sequence[float], margins: Sequence[float]
) -> list[list[float]]:
    """Return `STEP_FEATURES` numbers for each step.

    Args:
        steps: first and last-but-one token of each step, in order; a step without a token repeats what came before.
        logprobs: of each token, nats.
        certainty: of each token, nats.
        margins: log-probability of each token less that of the likeliest one, nats, <= 0.
    """
    vectors: list[list[float]] = []
    least: list[float] = []
    for number, (start, end) in enumerate(steps, 1):
        said, sure = logprobs[start:end] or (0.0,), certainty[start:end] or (0.0,)
        least.append(min(said))
        so_far, behind = logprobs[:end] or (0.0,), margins[:end] or (0.0,)
        vectors.append(
            [
                _mean(said),
                min(said),
                _mean(sure),
                min(sure),
                min(margins[start:end] or (0.0,)),
                min(least),
                _mean(least),
                _mean(so_far),
                min(behind),
                float(number),
                float(end - start),
            ]
        )
    return vectors


async def _certainty(model: Any, task: Task, steps: Sequence[str]) -> Seen:
    assert isinstance(model, Scorer)
    done = await model.score(Request(messages=task.messages, certainty=True, logprobs=1), "".join(steps))
    tokens, certainty = done.tokens, done.certainty
    if tokens is None or tokens.logprobs is None or tokens.top is None or certainty is None:
        raise BadReply("the back-end gave no log-probabilities, no likeliest tokens or no certainty of the text")
    spans, token, start = [], 0, 0
    written = ends = 0
    for step in steps:
        ends += len(step)
        while token < len(tokens.texts) and written + len(tokens.texts[token]) <= ends:
            written += len(tokens.texts[token])
            token += 1
        spans.append((start, token))
        start = token
    margins = _margins(tokens.logprobs, [top[0][2] if top else None for top in tokens.top])
    return Seen(step_statistics(spans, tokens.logprobs, certainty, margins), done.sent)


async def _hidden(model: Any, task: Task, steps: Sequence[str], layers: Sequence[int]) -> Seen:
    prompt = Request(messages=task.messages, certainty=True, logprobs=1)
    read = await model.states(prompt, "".join(steps), layers=layers)
    before, count = model.count(prompt).tokens, len(read.logprobs)
    spans, start, text = [], 0, ""
    for step in steps[:-1]:
        text += step
        end = min(max(model.count(Request(messages=task.messages, prefix=text)).tokens - before, start), count)
        spans.append((start, end))
        start = end
    spans.append((start, count))
    margins = _margins(read.logprobs, [top[0][1] if top else None for top in read.top])
    vectors = step_statistics(spans, read.logprobs, read.certainty, margins)
    for vector, (_, end) in zip(vectors, spans, strict=True):
        vector += read.hidden[:, max(end, 1) - 1].flatten().tolist()
    return Seen(vectors, Usage(calls=1, prompt_tokens=before + count, cached_tokens=read.reused))


def _margins(logprobs: Sequence[float], likeliest: Sequence[float | None]) -> list[float]:
    return [0.0 if best is None else min(0.0, said - best) for said, best in zip(logprobs, likeliest, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

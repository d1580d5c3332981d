"""What a light process reward model sees of each step of an answer: how sure the model was, and its hidden state.

Source: our own: token log-probabilities, certainty (card 26, arXiv:2502.18581) and a hidden state at the end of a step,
as probes of correctness (Kadavath et al. 2022, arXiv:2207.05221; Azaria & Mitchell 2023, arXiv:2304.13734).
Cost: one pass over the prompt and the answer, for all steps of the answer. Needs: `Access.SCORE` for "certainty",
`Access.HIDDEN` for "hidden".
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
# Of the newest step: mean and least log-probability of a token, mean and least certainty; of all steps: the least and
# the mean of the steps' least log-probabilities, the mean log-probability; how many steps, and tokens in the newest.
STEP_FEATURES = 9


class Seen(NamedTuple):
    """One vector per step, and what was really paid for the pass where it is known to be less than its tokens."""

    vectors: list[list[float]]
    paid: Usage | None


async def read_steps(model: Model, task: Task, steps: Sequence[str], features: Features, *, layer: int = 0) -> Seen:
    """Read an answer and return what each of its steps looks like; a step never depends on what follows it.

    Args:
        model: a back-end with the access that `features` needs.
        task: what is answered.
        steps: at least one, which spell the answer when joined.
        features: "certainty" (`STEP_FEATURES` numbers), or "hidden": these and the hidden state after the step's last
            token.
        layer: which hidden state: index into the embeddings and the layers' outputs.

    Raises:
        BadInput: the answer does not fit the context.
        BadReply: the back-end does not tell what it must.
        ConfigError: there is no such layer, or the model gives no such access.
    """
    if ACCESS[features] not in model.access:
        raise ConfigError(f"{features} features need {ACCESS[features]}, which {model.name} does not give")
    return await (_certainty(model, task, steps) if features == "certainty" else _hidden(model, task, steps, layer))


def step_statistics(
    steps: Sequence[tuple[int, int]], logprobs: Sequence[float], certainty: Sequence[float]
) -> list[list[float]]:
    """Return `STEP_FEATURES` numbers for each step.

    Args:
        steps: first and last-but-one token of each step, in order; a step without a token repeats what came before.
        logprobs: of each token, nats.
        certainty: of each token, nats.
    """
    vectors: list[list[float]] = []
    least: list[float] = []
    for number, (start, end) in enumerate(steps, 1):
        said, sure = logprobs[start:end] or (0.0,), certainty[start:end] or (0.0,)
        least.append(min(said))
        so_far = logprobs[:end] or (0.0,)
        vectors.append(
            [
                _mean(said),
                min(said),
                _mean(sure),
                min(sure),
                min(least),
                _mean(least),
                _mean(so_far),
                float(number),
                float(end - start),
            ]
        )
    return vectors


async def _certainty(model: Any, task: Task, steps: Sequence[str]) -> Seen:
    assert isinstance(model, Scorer)
    done = await model.score(Request(messages=task.messages, certainty=True), "".join(steps))
    tokens, certainty = done.tokens, done.certainty
    if tokens is None or tokens.logprobs is None or certainty is None:
        raise BadReply("the back-end gave no log-probabilities or no certainty of the text")
    spans, token, start = [], 0, 0
    written = ends = 0
    for step in steps:
        ends += len(step)
        while token < len(tokens.texts) and written + len(tokens.texts[token]) <= ends:
            written += len(tokens.texts[token])
            token += 1
        spans.append((start, token))
        start = token
    return Seen(step_statistics(spans, tokens.logprobs, certainty), done.sent)


async def _hidden(model: Any, task: Task, steps: Sequence[str], layer: int) -> Seen:
    inside = await model.inspect(Request(messages=task.messages), "".join(steps))
    width = len(inside.hidden)
    if not 0 <= layer < width:
        raise ConfigError(f"layer must be in [0, {width - 1}], got {layer!r}")
    ids = list(inside.ids[inside.start :])
    # The law of a token stands at the token before it.
    laws = inside.logits[inside.start - 1 : -1].float().log_softmax(-1)
    logprobs = [float(laws[at, token]) for at, token in enumerate(ids)]
    certainty = (-laws.mean(-1) - math.log(laws.shape[-1])).tolist()
    spans, start, text = [], 0, ""
    for step in steps[:-1]:
        text += step
        end = min(max(model.count(Request(messages=task.messages, prefix=text)).tokens - inside.start, start), len(ids))
        spans.append((start, end))
        start = end
    spans.append((start, len(ids)))
    vectors = step_statistics(spans, logprobs, certainty)
    for vector, (_, end) in zip(vectors, spans, strict=True):
        vector += inside.hidden[layer, inside.start + end - 1].float().tolist()
    return Seen(vectors, None)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)

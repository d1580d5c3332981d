"""Reward model of transformers: scores of steps (PRM) or of whole answers and prefixes (ORM) by any such checkpoint.

Paper: readers of Liu et al. 2025, arXiv:2502.06703 (card 13, step 11), for checkpoints of three kinds: a
token-classification head, read at the separator after each step (two classes: class 1, as Qwen2.5-Math-PRM; one: its
sigmoid, as Skywork); a sequence-classification head, one score for the whole text; a language model that was trained to
say a good or a bad tag, softmax of the two at the separator (as Math-Shepherd).
Differs: code that comes with a checkpoint is not run, so its head must be one that transformers knows; the layout of
RLHFlow (a chat turn for each step) is not read. Scores are aligned by construction: one for each step.
Cost: one pass over prompt and answer for each, in batches, booked under the role "prm". Needs: the extra `torch`; a
checkpoint directory.
When: a trained reward model for this kind of task. When not: solutions unlike those that it was trained on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted
from ponder.core.registry import need, verifiers
from ponder.core.task import Task
from ponder.core.usage import Usage
from ponder.engines.tree import Prefix
from ponder.numerics.aggregation import Aggregation, aggregate
from ponder.verifiers._passes import metered_pass
from ponder.verifiers._steps import split_steps

if TYPE_CHECKING:
    from ponder.verifiers._prm_network import Encoded, Network

__all__ = ["Prm"]


@verifiers("prm", card=(4, 13), paper="arXiv:2502.06703", fidelity="code", access=(), needs=("torch",), since="0.1")
@dataclass(frozen=True, kw_only=True)
class Prm:
    r"""Scores by a checkpoint.

    Attributes:
        checkpoint: its directory, with safetensors and a tokenizer.
        separator: text put after each step, at whose last token its score stands: as the checkpoint was trained.
        good, bad: tags of a language model, one token each.
        delimiter: text that ends a step of a whole answer; searches bring their own steps.
        aggregation: from the scores of an answer's steps to its score: "last", "min", "mean", "product".
        batch: most texts that run together, >= 1.
        device: "auto" (an accelerator if there is one), or a torch device.
        dtype: of the weights.
    """

    checkpoint: str = ""
    separator: str = "\n"
    good: str = "+"
    bad: str = "-"
    delimiter: str = "\n"
    aggregation: Aggregation = "last"
    batch: int = 16
    device: str = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError(f"batch must be at least 1, got {self.batch!r}")
        if self.checkpoint and not (Path(self.checkpoint).expanduser() / "config.json").is_file():
            raise BadInput(f"there is no checkpoint in {self.checkpoint!r}")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score whole answers."""
        return await self._all(task, [split_steps(c.text, self.delimiter) for c in candidates], ctx)

    async def score_steps(self, task: Task, prefixes: Sequence[Prefix], ctx: Context) -> list[Score]:
        """Score prefixes; a PRM gives a score for each step, an ORM one for the prefix."""
        return await self._all(task, [prefix.steps for prefix in prefixes], ctx)

    async def _all(self, task: Task, answers: Sequence[Sequence[str]], ctx: Context) -> list[Score]:
        if not answers:
            return []
        if not self.checkpoint:
            return [Score.missing("no checkpoint: prm needs checkpoint=DIRECTORY")] * len(answers)
        need("torch", extra="torch", feature="the verifier 'prm'")
        need("transformers", extra="torch", feature="the verifier 'prm'")
        from ponder.verifiers._prm_network import open_network

        # Loaded in the event loop's thread, so that calls side by side do not load it twice.
        network = open_network(self.checkpoint, self.device, self.dtype)
        tags = (network.tag(self.good), network.tag(self.bad)) if network.kind == "tags" else None
        scores: list[Score | None] = [None] * len(answers)
        texts: list[tuple[int, Encoded]] = []
        for at, steps in enumerate(answers):
            encoded = network.encode(task.messages, steps, self.separator)
            if not steps:
                scores[at] = Score.missing("there is no step")
            elif network.info.context is not None and len(encoded.ids) > network.info.context:
                scores[at] = Score.missing(f"{len(encoded.ids)} tokens do not fit the checkpoint's context")
            else:
                texts.append((at, encoded))
        for start in range(0, len(texts), self.batch):
            group = texts[start : start + self.batch]
            values = await self._pass(network, [encoded for _, encoded in group], tags, ctx)
            for (at, _), found in zip(group, values, strict=True):
                scores[at] = self._score(network, found)
        return [score for score in scores if score is not None]

    async def _pass(
        self, network: Network, texts: Sequence[Encoded], tags: tuple[int, int] | None, ctx: Context
    ) -> list[list[float] | Interrupted]:
        async def work() -> tuple[list[list[float]], Usage | None]:
            return await asyncio.to_thread(network.scores, texts, tags), None

        tokens = sum(len(text.ids) for text in texts)
        try:
            return list(await metered_pass(ctx, "prm", network.info, tokens, work))
        except Interrupted as why:
            return [why] * len(texts)

    def _score(self, network: Network, found: list[float] | Interrupted) -> Score:
        if isinstance(found, Interrupted):
            return Score.missing(f"not read: {found}")
        if network.kind == "sequence":
            return Score(value=found[0])
        return Score(value=aggregate(found, self.aggregation), steps=tuple(found))

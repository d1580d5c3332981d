"""Writing quality: a reward in (0, 10) from an encoder that learnt from professional edits of model texts.

Paper: Chakrabarty et al. 2025, arXiv:2504.07532 (WQRM, card 01): the mean hidden state of the text, read beside the
word None, through a two-layer head. Texts are compared by the difference of their rewards; the pair head, a cosine that
is symmetric in form, takes part in training only.
Differs: nothing in the numbers. As in the release the request is not shown: the network judges the writing alone.
Cost: one pass of the encoder over each distinct text, in batches, booked under the role "wqrm"; no token is written.
Needs: the extra `torch`, and a directory: Salesforce/WQRM, or one written by `ponder train wqrm`.
When: ranking revisions of one draft, see the method `write_and_rank`.
When not: as a judge of facts, or of texts unlike those that it was trained on.
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
from ponder.verifiers._passes import metered_pass

if TYPE_CHECKING:
    from ponder.verifiers._wqrm_network import Encoded, Network

__all__ = ["Wqrm"]


@verifiers(
    "wqrm",
    card=1,
    paper="arXiv:2504.07532",
    fidelity="code",
    access=(),
    needs=("torch",),
    tags={"how": ("verification", "outcome"), "where": ("open-ended",), "how_well": ("win-rate",)},
    since="0.1",
)
@dataclass(frozen=True, kw_only=True)
class Wqrm:
    """Rewards of texts by a trained encoder.

    Attributes:
        directory: encoder and heads; "" gives no scores.
        batch: most texts that run together, >= 1.
        device: "auto" (an accelerator if there is one), or a torch device.
        dtype: of the encoder's weights.
    """

    directory: str = ""
    batch: int = 8
    device: str = "auto"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError(f"batch must be at least 1, got {self.batch!r}")
        if self.directory and not (Path(self.directory).expanduser() / "config.json").is_file():
            raise BadInput(f"there is no encoder in {self.directory!r}")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score whole texts; equal ones are read once."""
        del task
        if not self.directory:
            return [Score.missing("no network: wqrm needs directory=, written by `ponder train wqrm`")] * len(
                candidates
            )
        known: dict[str, Score] = {}
        rows: dict[str, Encoded] = {}
        network = self._open() if candidates else None
        for candidate in candidates:
            text = candidate.text
            if network is None or not candidate.ok or text in known or text in rows:
                continue
            try:
                row = network.encode(text.strip())
            except BadInput as err:
                known[text] = Score.missing(err)
                continue
            if network.fits(row):
                rows[text] = row
            else:
                known[text] = Score.missing(f"{len(row.ids)} tokens do not fit the encoder")
        # Of like length together, so that little is padding.
        order = sorted(rows, key=lambda text: len(rows[text].ids))
        for start in range(0, len(order), self.batch):
            assert network is not None
            group = order[start : start + self.batch]
            for text, score in zip(group, await self._pass(network, [rows[t] for t in group], ctx), strict=True):
                known[text] = score
        return [known[c.text] if c.ok else Score.missing(f"no text: {c.error}") for c in candidates]

    def _open(self) -> Network:
        for module in ("torch", "transformers", "safetensors"):
            need(module, extra="torch", feature="the verifier 'wqrm'")
        from ponder.verifiers._wqrm_network import HEADS, open_network

        path = Path(self.directory).expanduser().resolve()
        file = path / HEADS
        # Loaded in the event loop's thread, so that calls side by side do not load it twice.
        return open_network(str(path), file.stat().st_mtime_ns if file.is_file() else 0, self.device, self.dtype)

    async def _pass(self, network: Network, rows: Sequence[Encoded], ctx: Context) -> list[Score]:
        async def work() -> tuple[list[float], Usage | None]:
            return await asyncio.to_thread(network.rewards, rows), None

        try:
            found = await metered_pass(ctx, "wqrm", network.info, sum(len(row.ids) for row in rows), work)
        except Interrupted as why:
            return [Score.missing(f"not read: {why}")] * len(rows)
        return [Score(value=reward) for reward in found]

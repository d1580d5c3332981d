"""Train a writing-quality reward on edits: any encoder, a reward head and a pair head, one loss over both.

Source: the released recipe of WQRM, Chakrabarty et al. 2025, arXiv:2504.07532 (card 01 B): AdamW at 1e-5, a linear
schedule that warms up over a tenth of the first epoch, 5 epochs of batches of 8, no clipping of gradients, validation
every 20 batches from the second epoch on, and the weights with the lowest validation loss are kept.
Differs: similarities are kept 1e-7 away from 1, where the released loss is infinite; weights whose loss is above
`ceiling` (0.60 in the release) are kept as well, where there are none below, and the report says so; validation also
ends each epoch, so that small data are validated at all; edits are held out whole.
Cost: epochs x items passes with gradients.
Needs: the extra `torch`, an encoder directory, and edits.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need
from ponder.core.seeds import derive, derive_seed
from ponder.numerics.writing_rewards import gap_agreement, reward_losses
from ponder.training.edit_pairs import EditPair, Items, WritingItem, split_pairs, writing_items

if TYPE_CHECKING:
    from ponder.verifiers._wqrm_network import Encoded, Network

__all__ = ["WqrmTraining", "measure_pairs", "train_wqrm"]

_EDGE = 1e-7


@dataclass(frozen=True, kw_only=True)
class WqrmTraining:
    """Settings of the training.

    Attributes:
        kinds: "P", "R" or "PR", what is learnt from (the paper's best is PR).
        epochs, batch, rate: of AdamW, >= 1, >= 1 and > 0.
        warm_up: share of the first epoch over which the rate rises, in [0, 1].
        validate_every: batches between validations, from the second epoch on, >= 1.
        ceiling: validation loss below which weights are worth keeping.
        held_out: share of the edits that only measure, in (0, 1).
        longest: most tokens of a row, longer ones are left out; None for what the encoder takes.
        seed: of split, order, sides and dropout.
    """

    kinds: Items = "PR"
    epochs: int = 5
    batch: int = 8
    rate: float = 1e-5
    warm_up: float = 0.1
    validate_every: int = 20
    ceiling: float = 0.60
    held_out: float = 0.2
    longest: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or self.validate_every < 1 or not self.rate > 0:
            raise ConfigError("needs epochs, batch and validate_every >= 1 and rate > 0")
        if not 0 <= self.warm_up <= 1:
            raise ConfigError(f"warm_up must be in [0, 1], got {self.warm_up!r}")


def train_wqrm(
    encoder: Path | str,
    pairs: Sequence[EditPair],
    settings: WqrmTraining | None = None,
    *,
    device: str = "auto",
    progress: Callable[[int, int, float | None], None] | None = None,
) -> Network:
    """Train encoder and heads on edits; the network's report says how it did on those held out.

    Args:
        encoder: directory of transformers; heads that are there already are trained on.
        pairs: edits, at least two different drafts.
        settings: of the training.
        device: "auto" (an accelerator if there is one), or a torch device.
        progress: called with (batches done, all of them, validation loss once there is one).

    Raises:
        BadInput: the encoder cannot be read, or nothing can be learnt from the edits.
        MissingExtra: the extra `torch` is not installed.
    """
    for module in ("torch", "transformers", "safetensors"):
        need(module, extra="torch", feature="`ponder train wqrm`")
    import torch

    from ponder.verifiers._wqrm_network import load_network

    settings = settings or WqrmTraining()
    learnt, unseen = split_pairs(pairs, settings.held_out, seed=settings.seed)
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(settings.seed, "wqrm"))
        network = load_network(encoder, device=device, fresh=True)
        rows = _rows(network, writing_items(learnt, settings.kinds, seed=settings.seed), settings.longest)
        checks = _rows(network, writing_items(unseen, settings.kinds, seed=settings.seed), settings.longest)
        if not rows or not checks:
            raise BadInput("no text fits the encoder's length")
        best, kept = _fit(network, rows, checks, settings, progress)
    network.encoder.load_state_dict(kept[0])
    network.heads.load_state_dict(kept[1])
    network.report = {
        "encoder": str(encoder),
        "settings": asdict(settings),
        "edits": {"train": len(learnt), "held_out": len(unseen)},
        "items": {"train": len(rows), "held_out": len(checks)},
        "validation_loss": best,
        "below_ceiling": best < settings.ceiling,
        "held_out": measure_pairs(network, unseen, batch=settings.batch),
    }
    return network


def measure_pairs(network: Network, pairs: Sequence[EditPair], *, batch: int = 8) -> dict[str, Any]:
    """Return how a network judges edits: the edited text should be better.

    Returns:
        "pairs"; "accuracy" by the reward, and for gaps above one point ("above_1"); "gap", the mean reward of the
        edited text less that of its draft; "pair_head", the accuracy of the similarity in both orders. None without a
        pair.
    """
    whole = [pair for pair in pairs if pair.edited is not None and pair.edited.strip() != pair.draft.strip()]
    texts = list(dict.fromkeys(text for pair in whole for text in (pair.draft, pair.edited or "")))
    encoded = {text: network.encode(text.strip()) for text in texts}
    short = [text for text in texts if network.fits(encoded[text])]
    rewards = dict(zip(short, _all(network, [encoded[t] for t in short], batch)[0], strict=True))
    gaps = [rewards[p.edited or ""] - rewards[p.draft] for p in whole if p.draft in rewards and p.edited in rewards]
    both = [network.encode(a.strip(), b.strip()) for p in whole for a, b in _orders(p)]
    fitting = [(row, at % 2 == 0) for at, row in enumerate(both) if network.fits(row)]
    similar = _all(network, [row for row, _ in fitting], batch)[1]
    right = [(value > 0.5) == first for value, (_, first) in zip(similar, fitting, strict=True)]
    return {
        "pairs": len(gaps),
        "accuracy": gap_agreement(gaps, [True] * len(gaps)).share,
        "above_1": gap_agreement(gaps, [True] * len(gaps), above=1.0)._asdict(),
        "gap": math.fsum(gaps) / len(gaps) if gaps else None,
        "pair_head": sum(right) / len(right) if right else None,
    }


def _orders(pair: EditPair) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return a pair with the better text first, then second."""
    edited = pair.edited or ""
    return (edited, pair.draft), (pair.draft, edited)


def _all(network: Network, rows: Sequence[Encoded], batch: int) -> tuple[list[float], list[float]]:
    rewards: list[float] = []
    similar: list[float] = []
    for start in range(0, len(rows), batch):
        one, two = network.read(rows[start : start + batch])
        rewards += one
        similar += two
    return rewards, similar


def _rows(network: Network, items: Sequence[WritingItem], longest: int | None) -> list[tuple[Encoded, WritingItem]]:
    rows = []
    for item in items:
        row = network.encode(item.first.strip(), *(() if item.second is None else (item.second.strip(),)))
        if network.fits(row) and (longest is None or len(row.ids) <= longest):
            rows.append((row, item))
    return rows


def _fit(
    network: Network,
    rows: Sequence[tuple[Encoded, WritingItem]],
    checks: Sequence[tuple[Encoded, WritingItem]],
    settings: WqrmTraining,
    progress: Callable[[int, int, float | None], None] | None,
) -> tuple[float, tuple[dict[str, Any], dict[str, Any]]]:
    """Train, and return the lowest validation loss with the weights that have it."""
    import torch

    parameters = [*network.encoder.parameters(), *network.heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=settings.rate)
    a_epoch = math.ceil(len(rows) / settings.batch)
    total, rising = a_epoch * settings.epochs, a_epoch * settings.warm_up

    def pace(step: int) -> float:
        return step / rising if step < rising else max(0.0, (total - step) / max(1.0, total - rising))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, pace)
    best, kept, done = math.inf, _weights(network), 0
    told: float | None = None
    for epoch in range(settings.epochs):
        order = list(rows)
        derive(settings.seed, "wqrm_epoch", epoch).shuffle(order)
        for number, start in enumerate(range(0, len(order), settings.batch), 1):
            network.encoder.train()
            network.heads.train()
            loss = _loss(network, order[start : start + settings.batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            done += 1
            if number == a_epoch or (epoch and number % settings.validate_every == 0):
                told = _validate(network, checks, settings.batch)
                if told < best:
                    best, kept = told, _weights(network)
            if progress is not None:
                progress(done, total, told)
    if math.isinf(best):
        raise BadInput("the validation loss is no number in any epoch: lower the rate")
    return best, kept


def _loss(network: Network, rows: Sequence[tuple[Encoded, WritingItem]]) -> Any:
    """Return a batch's loss as a tensor: mean cross-entropy of its pairs plus mean squared error / 4."""
    import torch

    read = network.forward([row for row, _ in rows])
    labels = torch.tensor([item.label for _, item in rows], device=read.rewards.device)
    parts = []
    paired, single = labels >= 0, labels < 0
    if paired.any():
        likely = read.similarities[paired].clamp(_EDGE, 1 - _EDGE)
        likely = torch.where(labels[paired] == 0, likely, 1 - likely)
        parts.append(-likely.log().mean())
    if single.any():
        scores = torch.tensor([item.score or 0.0 for _, item in rows], device=read.rewards.device)
        parts.append((read.rewards[single] - scores[single]).square().mean() / 4)
    return sum(parts)


def _validate(network: Network, checks: Sequence[tuple[Encoded, WritingItem]], batch: int) -> float:
    """Return the loss over all held-out items at once."""
    rewards, similar = _all(network, [row for row, _ in checks], batch)
    items = [item for _, item in checks]
    near = [min(max(value, _EDGE), 1 - _EDGE) for value in similar]
    return reward_losses(near, rewards, [item.label for item in items], [item.score for item in items]).total


def _weights(network: Network) -> tuple[dict[str, Any], dict[str, Any]]:
    return copy.deepcopy(network.encoder.state_dict()), copy.deepcopy(network.heads.state_dict())

"""Card 01 (Chakrabarty et al. 2025): the heads of WQRM, its losses, and the best of N revisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ponder.numerics.writing_rewards import best_revision, reward_losses
from tests.parity.cases import Case, Kind, Kinds, each_case, numbers

pytestmark = pytest.mark.torch  # the heads are torch modules

Inputs = Mapping[str, Any]


def heads(given: Inputs) -> dict[str, Any]:
    import torch

    from ponder.verifiers._wqrm_network import Heads

    states = torch.tensor(numbers(given["hidden_states"]))
    made = Heads(states.shape[-1]).eval()
    made.load_state_dict(
        {
            "reward.1.weight": torch.tensor(given["W1"]),
            "reward.1.bias": torch.tensor(given["b1"]),
            "reward.3.weight": torch.tensor(given["W2"]),
            "reward.3.bias": torch.tensor(given["b2"]),
        }
    )
    with torch.inference_mode():
        read = made(states, [tuple(pair) for pair in given["lengths_p1_p2"]])
    similar = read.similarities.tolist()
    return {
        "reward": read.rewards.tolist(),
        "similarity": similar,
        "pair_choice": ["1" if value > 0.5 else "2" for value in similar],
    }


def loss(given: Inputs) -> dict[str, Any]:
    labels = given["label_cls"]
    found = reward_losses(numbers(given["similarity"]), numbers(given["reward"]), labels, given["label_reg"])
    return {
        "loss": found.total,
        "loss_cls": found.pairs,
        "loss_reg": found.rewards,
        "n_cls": sum(label >= 0 for label in labels),
        "n_reg": sum(label < 0 for label in labels),
    }


def best_of_n(given: Inputs) -> dict[str, Any]:
    rewards, draft = given["candidate_rewards"], given["draft_reward"]
    chosen = best_revision(draft, rewards)
    return {
        "best": best_revision(None, rewards),  # the fixture names the best one even where the draft beats it
        "keep_draft": chosen is None,
        "gain": 0.0 if chosen is None else rewards[chosen] - draft,
    }


KINDS: Kinds = {
    ("wqrm_heads", "released"): Kind(heads, 1e-5),
    ("wqrm_loss", "released"): Kind(loss, 1e-5),
    ("best_of_n", "paper"): Kind(best_of_n, 1e-5),
}


@each_case("01")
def test_case_agrees(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)

"""Card 08 (Chan et al. 2025): verdicts, the judge as a Markov chain, majorities, and the arithmetic of REINFORCE++."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ponder.numerics.judging import JudgeChain, consistent, macro_mean, majority_accuracy, read_letter, slope
from ponder.numerics.reinforce import advantages, clip_loss, normalise, returns
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]


def reinforce(given: Inputs) -> dict[str, Any]:
    found = [
        returns(reward, kl[:length], beta=given["beta"])
        for reward, kl, length in zip(given["rewards"], given["kl_per_token"], given["lengths"], strict=True)
    ]
    return {"returns": found, "advantages": advantages(found, eps=given["eps"])}


def toy(given: Inputs) -> dict[str, Any]:
    chain = JudgeChain(start=given["p0"], gain=given["wrong_to_right"], loss=given["right_to_wrong"])
    found = chain.accuracies(given["rounds"])
    return {"acc": found, "limit": chain.limit, "slope": slope(found), "trend": found[-1] - found[0]}


def swap(given: Inputs) -> dict[str, Any]:
    return {"consistent": consistent(given["verdict_order_ab"], given["verdict_order_ba_in_its_own_labels"])}


KINDS: Kinds = {
    ("reinforce_pp", "paper"): Kind(reinforce, 1e-9),
    ("batch_normalise", "paper"): Kind(lambda i: {"advantages": normalise(i["rewards"], eps=i["eps"])}, 1e-9),
    ("clip_loss", "paper"): Kind(
        lambda i: {"loss_per_token": clip_loss(i["ratio"], i["advantage"], eps=i["eps"])}, 1e-9
    ),
    ("markov_judge", "paper"): Kind(toy, 1e-9),
    ("majority", "paper"): Kind(lambda i: {"accuracy": majority_accuracy(i["k"], i["p"])}, 1e-9),
    ("verdict", "paper"): Kind(lambda i: {"verdict": read_letter(i["text"], end=i["end_marker"])}, 0),
    ("swap_consistency", "paper"): Kind(swap, 0),
    ("macro_mean", "paper"): Kind(lambda i: {"mean": macro_mean(i["accuracy_per_set"])}, 1e-9),
}


@each_case("08")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)

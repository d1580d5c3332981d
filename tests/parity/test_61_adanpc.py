"""Card 61 (Zhang et al. 2023, AdaNPC): votes, balls, the memory online, the BatchNorm variant, the training queue."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.cases import arrays, folders

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.torch


def every(*prefixes: str) -> list[Any]:
    found = [case for folder in folders("61") for case in arrays(folder / "cases.npz").items() if case[0]]
    own = [case for case in found if case[0].startswith(prefixes)]
    return [pytest.param(value, id=name) for name, value in own] or [
        pytest.param(None, marks=pytest.mark.skip(reason="exempt: no such cases in PONDER_FIXTURES"))
    ]


def test_every_case_is_computed() -> None:
    known = ("vote_", "ball_", "clean_", "online_", "bn_", "knn_training_queue")
    names = [name for folder in folders("61") for name in arrays(folder / "cases.npz") if name]
    assert [name for name in names if not name.startswith(known)] == []


def near(ours: Any, wanted: Any, tolerance: float = 1e-7) -> None:
    np.testing.assert_allclose(np.asarray(ours), wanted, rtol=tolerance, atol=1e-9)


def tensor(array: Any) -> Any:
    return torch.tensor(array, dtype=torch.float64)


@pytest.mark.parametrize("case", every("vote_", "ball_", "clean_"))
def test_votes(case: dict[str, Any]) -> None:
    from ponder.numerics.memory_vote import ball_applies, confidence, unit_rows, vote_of_nearest

    classes, k, tau, radius = case["cfg"].tolist()
    cosine = unit_rows(tensor(case["query"])) @ unit_rows(tensor(case["keys_raw"])).T
    scores = vote_of_nearest(
        cosine, torch.tensor(case["labels"]), int(classes), k=int(k), temperature=tau, radius=radius
    )
    near(scores, case["scores"])
    if "cosine" in case:
        near(cosine, case["cosine"])
        near(confidence(scores, kind="double_softmax"), case["double_softmax_conf"])
        assert ball_applies(cosine, radius) == bool(case["ball_used"])


@pytest.mark.parametrize("version", ["released", "clean"])
@pytest.mark.parametrize("case", every("online_"))
def test_online(case: dict[str, Any], version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt.adanpc import AdaNPC

    monkeypatch.setattr(AdaNPC, "_ghost", lambda self, width: tensor(case["ghost"]))

    classes, k, tau, beta, batches = case["cfg"].tolist()
    keys, labels = tensor(case["keys_raw"]), torch.tensor(case["labels"])
    adapter = AdaNPC(
        torch.nn.Identity(),
        source=[(keys, labels)],
        head="",
        classes=int(classes),
        k=int(k),
        temperature=tau,
        margin=beta,
        parity="released" if version == "released" else "paper",
    )
    added: list[int] = []
    for at in range(int(batches)):
        scores = adapter(tensor(case[f"x{at}"]))
        near(scores.exp(), case[f"{version}.scores{at}"])
        near(adapter.evidence["confidence"], case[f"{version}.conf{at}"])
        np.testing.assert_array_equal(adapter.evidence["added"], case[f"{version}.added{at}"])
        added += scores.argmax(1)[adapter.evidence["added"]].tolist()
        assert adapter.size == case[f"{version}.memory_size"][at]
    assert added == case[f"{version}.added_labels"].tolist()


@pytest.mark.parametrize("case", every("bn_"))
def test_batch_norm_variant(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt.adanpc import AdaNPC

    monkeypatch.setattr(AdaNPC, "_ghost", lambda self, width: tensor(case["ghost"]))

    classes, k, tau, beta, steps, lr, alpha, decay = case["cfg"].tolist()
    adapter = AdaNPC(
        torch.nn.Identity(),
        source=[
            (tensor(case["keys_raw"]), torch.tensor(case["labels"])),
        ],
        head="",
        classes=int(classes),
        k=int(k),
        temperature=tau,
        margin=beta,
        norm_steps=int(steps),
        lr=lr * alpha,
        weight_decay=decay,
        parity="released",
    )
    for at, x in enumerate(case["x"]):
        near(adapter(tensor(x)).exp(), case["scores"][at], 1e-6)
        near(adapter.norm.weight.detach(), case["bn_weight"][at], 1e-6)
        near(adapter.norm.bias.detach(), case["bn_bias"][at], 1e-6)
        assert adapter.size == case["memory_size"][at]


@pytest.mark.parametrize("case", every("knn_training_queue"))
def test_training_queue(case: dict[str, Any]) -> None:
    from ponder.training.memory_head import MemoryQueue

    classes, k, tau, size = case["cfg"].tolist()
    queue = MemoryQueue(tensor(case["queue_init"]), classes=int(classes), k=int(k))
    assert len(queue.keys) == int(size)
    for at, (z, y) in enumerate(zip(case["z"], case["y"], strict=True)):
        features = tensor(z).requires_grad_()
        loss = queue.loss(features, torch.tensor(y), temperature=tau)
        loss.backward()
        near(loss.detach(), case["loss"][at])
        near(features.grad, case["grad_z"][at])
    near(queue.keys, case["queue_final"])
    np.testing.assert_array_equal(queue.labels, case["queue_labels"])
    assert queue.at == int(case["queue_ptr"])

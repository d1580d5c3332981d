"""Card 61 (Zhang et al. 2023, AdaNPC): votes, balls, the memory online, the BatchNorm variant, the training queue."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.fields import Fields, all_read, cases_of, names_of

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.torch
KNOWN = ("vote_", "ball_", "clean_", "online_", "bn_", "knn_training_queue")


def test_every_case_is_computed() -> None:
    assert [name for name in names_of("61") if not name.startswith(KNOWN)] == []


def near(ours: Any, wanted: Any, tolerance: float = 1e-7) -> None:
    assert np.shape(ours) == np.shape(wanted)
    np.testing.assert_allclose(np.asarray(ours), wanted, rtol=tolerance, atol=1e-9)


def tensor(array: Any) -> Any:
    return torch.tensor(array, dtype=torch.float64)


@pytest.mark.parametrize("arrays", cases_of("61", "vote_", "ball_", "clean_"))
def test_votes(arrays: dict[str, Any]) -> None:
    from ponder.adapt.adanpc import AdaNPC
    from ponder.numerics.memory_vote import ball_applies, confidence, unit_rows, vote_of_nearest

    with all_read(arrays) as case:
        classes, k, tau, radius = case["cfg"].tolist()
        keys, labels, query = tensor(case["keys_raw"]), torch.tensor(case["labels"]), tensor(case["query"])
        cosine = unit_rows(query) @ unit_rows(keys).T
        voting: dict[str, Any] = {"k": int(k), "temperature": tau, "radius": radius}
        scores = vote_of_nearest(cosine, labels, int(classes), **voting)
        near(scores, case["scores"])
        if "cosine" in case:
            near(cosine, case["cosine"])
            near(confidence(scores, kind="double_softmax"), case["double_softmax_conf"])
            assert ball_applies(cosine, radius) == bool(case["ball_used"])
        source = (keys, labels)
        adapter = AdaNPC(torch.nn.Identity(), source=source, head="", classes=int(classes), margin=1.1, **voting)
        near(adapter(query).exp(), case["scores"])


def memory_of(case: Fields, **settings: Any) -> Any:
    """The adapter of a case: its inputs are features already."""
    from ponder.adapt.adanpc import AdaNPC

    classes, k, tau, beta = case["cfg"][:4].tolist()
    source = [(tensor(case["keys_raw"]), torch.tensor(case["labels"]))]
    voting: dict[str, Any] = {"k": int(k), "temperature": tau, "margin": beta}
    return AdaNPC(torch.nn.Identity(), source=source, head="", classes=int(classes), **voting, **settings)


@pytest.mark.parametrize("version", ["released", "clean"])
@pytest.mark.parametrize("arrays", cases_of("61", "online_"))
def test_online(arrays: dict[str, Any], version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt.adanpc import AdaNPC

    released = version == "released"
    others = ("clean.",) if released else ("released.", "ghost")
    with all_read(arrays, others=others) as case:
        monkeypatch.setattr(AdaNPC, "_ghost", lambda self, width: tensor(case["ghost"]))
        batches = int(case["cfg"][4])
        adapter = memory_of(case, parity="released" if released else "paper")
        added: list[int] = []
        for at, size in zip(range(batches), case[f"{version}.memory_size"], strict=True):
            scores = adapter(tensor(case[f"x{at}"]))
            near(scores.exp(), case[f"{version}.scores{at}"])
            near(adapter.evidence["confidence"], case[f"{version}.conf{at}"])
            np.testing.assert_array_equal(adapter.evidence["added"], case[f"{version}.added{at}"])
            added += scores.argmax(1)[adapter.evidence["added"]].tolist()
            assert adapter.size == size
        assert added == case[f"{version}.added_labels"].tolist() == adapter.memory.added()[1].tolist()


@pytest.mark.parametrize("arrays", cases_of("61", "bn_"))
def test_batch_norm_variant(arrays: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt.adanpc import AdaNPC

    with all_read(arrays) as case:
        monkeypatch.setattr(AdaNPC, "_ghost", lambda self, width: tensor(case["ghost"]))
        steps, lr, alpha, decay = case["cfg"][4:].tolist()
        adapter = memory_of(case, norm_steps=int(steps), lr=lr * alpha, weight_decay=decay, parity="released")
        rows = zip(*(case[n] for n in ("x", "scores", "bn_weight", "bn_bias", "memory_size")), strict=True)
        for x, scores, weight, bias, size in rows:
            near(adapter(tensor(x)).exp(), scores, 1e-6)
            near(adapter.norm.weight.detach(), weight, 1e-6)
            near(adapter.norm.bias.detach(), bias, 1e-6)
            assert adapter.size == size


@pytest.mark.parametrize("arrays", cases_of("61", "knn_training_queue"))
def test_training_queue(arrays: dict[str, Any]) -> None:
    from ponder.training.memory_head import MemoryQueue

    with all_read(arrays) as case:
        classes, k, tau, size = case["cfg"].tolist()
        queue = MemoryQueue(tensor(case["queue_init"]), classes=int(classes), k=int(k))
        assert len(queue.keys) == int(size)
        for z, y, wanted, slope in zip(*(case[n] for n in ("z", "y", "loss", "grad_z")), strict=True):
            features = tensor(z).requires_grad_()
            loss = queue.loss(features, torch.tensor(y), temperature=tau)
            loss.backward()
            near(loss.detach(), wanted)
            near(features.grad, slope)
        near(queue.keys, case["queue_final"])
        np.testing.assert_array_equal(queue.labels, case["queue_labels"])
        assert queue.at == int(case["queue_ptr"])

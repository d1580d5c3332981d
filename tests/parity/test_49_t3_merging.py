"""Card 49 (T3): coefficients, per-sample and per-batch merges, DaWin's weights, the beta mixture and SLERP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.cases import arrays, folders

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.torch


def every(prefix: str) -> list[Any]:
    found = [case for folder in folders("49") for case in arrays(folder / "cases.npz").items() if case[0]]
    own = [case for case in found if case[0].startswith(prefix)]
    return [pytest.param(value, id=name) for name, value in own] or [
        pytest.param(None, marks=pytest.mark.skip(reason="exempt: no such cases in PONDER_FIXTURES"))
    ]


def test_every_case_is_computed() -> None:
    known = ("coef_", "merge_", "dawin_", "bmm_", "slerp")
    names = [name for folder in folders("49") for name in arrays(folder / "cases.npz") if name]
    assert [name for name in names if not name.startswith(known)] == []


def near(ours: Any, wanted: Any, tolerance: float = 1e-7) -> None:
    np.testing.assert_allclose(np.asarray(ours), wanted, rtol=tolerance, atol=min(tolerance, 1e-9))


def tensor(array: Any) -> Any:
    return torch.tensor(array, dtype=torch.float64)


@pytest.mark.parametrize("case", every("coef_"))
def test_coefficients(case: dict[str, Any]) -> None:
    from ponder.numerics.model_merging import Coefficient, js_divergence

    laws = [
        tensor(case[f"p_{side}"]) if f"p_{side}" in case else tensor(case[f"logits_{side}"]).softmax(-1)
        for side in ("pt", "ft")
    ]
    js = js_divergence(*laws)
    np.testing.assert_allclose(js, case["js"], rtol=0, atol=1e-9)
    for at, (gamma, low, high) in enumerate(case["cfgs"].tolist()):
        rule = Coefficient(gamma=gamma, low=low, high=high)
        near(rule.weight(js), case["lam"][at])
        near(rule.weight(js).mean(), case["lam_batch"][at])
        near(rule.weight(js.mean()), case["lam_of_mean_js"][at])


def mlp(case: dict[str, Any], side: str) -> Any:
    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            for name in ("l1", "l2", "head"):
                out, inside = case[f"{side}.{name}.weight"].shape
                setattr(self, name, torch.nn.Linear(inside, out))

        def forward(self, x: Any) -> Any:
            return self.head(torch.tanh(self.l2(torch.tanh(self.l1(x)))))

    net = Net().double()
    state = {name: tensor(case[f"{side}.{name}"]) for name in net.state_dict()}
    net.load_state_dict(state)
    return net


def linear(case: dict[str, Any], side: str) -> Any:
    net = torch.nn.Linear(case["w_pt"].shape[1], case["w_pt"].shape[0]).double()
    net.load_state_dict({"weight": tensor(case[f"w_{side}"]), "bias": tensor(case[f"b_{side}"])})
    return net


@pytest.mark.parametrize("how", ["mix", "vmap", "loop"])
@pytest.mark.parametrize("case", every("merge_"))
def test_merges(case: dict[str, Any], how: str) -> None:
    from ponder.adapt.t3_merging import T3Merging

    build = linear if "w_pt" in case else mlp
    gamma, low, high = case["cfg"].tolist()

    def adapter(**settings: Any) -> Any:
        made = {"gamma": gamma, "low": low, "high": high, "how": how, **settings}
        return T3Merging(build(case, "pt"), expert=build(case, "ft"), **made)

    x = tensor(case["x"])
    per_sample = adapter()
    near(per_sample(x), case["logits_sample"])
    near(per_sample.evidence["weight"], case["lam"])
    if "js" not in case:
        return
    np.testing.assert_allclose(per_sample.evidence["js"], case["js"], rtol=0, atol=1e-9)
    near(build(case, "pt")(x).detach(), case["logits_pt"])
    near(build(case, "ft")(x).detach(), case["logits_ft"])
    near(adapter(direction="expert_on_disagreement")(x), case["logits_sample_expert_dir"])
    near(adapter(rule="constant", low=0.5, high=0.5)(x), case["logits_soup"])
    per_batch = adapter(per="batch")
    near(per_batch(x), case["logits_batch"])
    near(per_batch.evidence["weight"].unique(), [case["lam_batch"]])
    head = per_batch.merged(float(case["lam_batch"]))["head.weight"]
    near(head, case["merged_batch_head"])
    laws = [tensor(case[f"logits_{side}"]).softmax(-1) for side in ("pt", "ft")]
    near((laws[0] + laws[1]) / 2, case["ensemble_probs"])


@pytest.mark.parametrize("case", every("dawin_"))
def test_entropy_weights(case: dict[str, Any]) -> None:
    from ponder.numerics.model_merging import EntropyOffset, entropies, entropy_offset, entropy_weight

    warm_pt, warm_ft, with_offset = case["cfg"].tolist()
    pt, ft = entropies(tensor(case["logits_pt"]), warm_pt), entropies(tensor(case["logits_ft"]), warm_ft)
    near(pt, case["entropy_pt"])
    near(ft, case["entropy_ft"])
    offset = entropy_offset(pt, ft) if with_offset else EntropyOffset()
    near(offset.b, case["offset_b"])
    near(offset.w, case["offset_w"])
    near(entropy_weight(pt, ft, offset), case["weight_expert"])


@pytest.mark.parametrize("case", every("bmm_"))
def test_beta_mixture(case: dict[str, Any]) -> None:
    from ponder.numerics.beta_mixture import expect, fit_mixture, maximise

    data = tensor(case["data"])
    if "responsibilities" in case:
        mixture = maximise(data, tensor(case["responsibilities"]))
        for name in ("weights", "alpha", "beta"):
            near(getattr(mixture, name), case[name])
        likelihood, responsibilities = expect(data, mixture)
        near(likelihood, case["mean_log_likelihood"])
        near(responsibilities, case["responsibilities_next"])
        return
    mixture, responsibilities, _ = fit_mixture(data, len(case["weights"]))
    near(mixture.weights, case["weights"], 5e-3)
    near(mixture.mean, case["mean"], 5e-3)
    for name in ("alpha", "beta"):
        near(getattr(mixture, name), case[name], 0.1)
    np.testing.assert_array_equal(responsibilities.argmax(1), case["label"])


@pytest.mark.parametrize("case", every("slerp"))
def test_slerp(case: dict[str, Any]) -> None:
    from ponder.numerics.model_merging import slerp

    first, second = tensor(case["v"]), tensor(case["w"])
    for alpha, wanted in zip(case["alpha"].tolist(), case["out"], strict=True):
        near(slerp(alpha, first, second), wanted)
    near(slerp(0.5, first, 2 * first), case["parallel_out"])

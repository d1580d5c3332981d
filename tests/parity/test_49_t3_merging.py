"""Card 49 (T3): coefficients, per-sample and per-batch merges, DaWin's weights, the beta mixture and SLERP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.fields import Fields, all_read, cases_of, names_of

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.torch
KNOWN = ("coef_", "merge_", "dawin_", "bmm_", "slerp")


def test_every_case_is_computed() -> None:
    assert [name for name in names_of("49") if not name.startswith(KNOWN)] == []


def near(ours: Any, wanted: Any, tolerance: float = 1e-7) -> None:
    assert np.shape(ours) == np.shape(wanted)
    np.testing.assert_allclose(np.asarray(ours), wanted, rtol=tolerance, atol=min(tolerance, 1e-9))


def close(ours: Any, wanted: Any, absolute: float) -> None:
    assert np.shape(ours) == np.shape(wanted)
    np.testing.assert_allclose(np.asarray(ours), wanted, rtol=0, atol=absolute)


def tensor(array: Any) -> Any:
    return torch.tensor(array, dtype=torch.float64)


@pytest.mark.parametrize("arrays", cases_of("49", "coef_"))
def test_coefficients(arrays: dict[str, Any]) -> None:
    from ponder.numerics.model_merging import Coefficient, js_divergence

    with all_read(arrays) as case:
        laws = [
            tensor(case[f"p_{side}"]) if f"p_{side}" in case else tensor(case[f"logits_{side}"]).softmax(-1)
            for side in ("pt", "ft")
        ]
        js = js_divergence(*laws)
        close(js, case["js"], 1e-9)
        rows = zip(case["cfgs"].tolist(), case["lam"], case["lam_batch"], case["lam_of_mean_js"], strict=True)
        for (gamma, low, high), each, mean, of_mean in rows:
            rule = Coefficient(gamma=gamma, low=low, high=high)
            near(rule.weight(js), each)
            near(rule.weight(js).mean(), mean)
            near(rule.weight(js.mean()), of_mean)


def network(case: Fields, side: str) -> Any:
    """The linear layer or the chain of layers with tanh between them, as many as there are weights."""
    if f"w_{side}" in case:
        state = {"weight": case[f"w_{side}"], "bias": case[f"b_{side}"]}
        net: Any = torch.nn.Linear(*reversed(state["weight"].shape)).double()
    else:
        state = case.named(f"{side}.")
        names = sorted({name.rpartition(".")[0] for name in state}, key=lambda name: (name == "head", name))
        parts: dict[str, Any] = {}
        for name in names:
            parts[f"{name}_before"] = torch.nn.Tanh()
            parts[name] = torch.nn.Linear(*reversed(state[f"{name}.weight"].shape))
        parts.pop(f"{names[0]}_before")
        net = torch.nn.Sequential()
        for name, part in parts.items():
            net.add_module(name, part)
        net = net.double()
    net.load_state_dict({name: tensor(value) for name, value in state.items()})
    return net


@pytest.mark.parametrize("how", ["mix", "vmap", "loop", "auto"])
@pytest.mark.parametrize("arrays", cases_of("49", "merge_"))
def test_merges(arrays: dict[str, Any], how: str) -> None:
    from ponder.adapt.t3_merging import T3Merging

    with all_read(arrays) as case:
        gamma, low, high = case["cfg"].tolist()
        x = tensor(case["x"])

        def run(**settings: Any) -> Any:
            made = {"gamma": gamma, "low": low, "high": high, "how": how, **settings}
            adapter = T3Merging(network(case, "pt"), expert=network(case, "ft"), **made)
            return adapter, adapter(x)

        per_sample, logits = run()
        near(logits, case["logits_sample"])
        near(per_sample.evidence["weight"], case["lam"])
        if "w_pt" in case:
            with torch.no_grad():
                outputs = [network(case, side)(x) for side in ("pt", "ft")]
            near(torch.lerp(outputs[1], outputs[0], per_sample.evidence["weight"][:, None]), logits)
            return
        close(per_sample.evidence["js"], case["js"], 1e-9)
        for side in ("pt", "ft"):
            near(network(case, side)(x).detach(), case[f"logits_{side}"])
        near(run(direction="expert_on_disagreement")[1], case["logits_sample_expert_dir"])
        near(run(rule="constant", low=0.5, high=0.5)[1], case["logits_soup"])
        near(run(rule="ensemble")[1].exp(), case["ensemble_probs"])
        per_batch, logits = run(per="batch")
        near(logits, case["logits_batch"])
        near(per_batch.evidence["weight"].unique(), case["lam_batch"].reshape(1))
        near(per_batch.merged(float(case["lam_batch"]))["head.weight"], case["merged_batch_head"])


@pytest.mark.parametrize("arrays", cases_of("49", "dawin_"))
def test_entropy_weights(arrays: dict[str, Any]) -> None:
    from ponder.adapt.t3_merging import T3Merging
    from ponder.numerics.model_merging import EntropyOffset, entropies, entropy_offset, entropy_weight

    with all_read(arrays) as case:
        warm_pt, warm_ft, with_offset = case["cfg"].tolist()
        logits = [tensor(case[f"logits_{side}"]) for side in ("pt", "ft")]
        pt, ft = entropies(logits[0], warm_pt), entropies(logits[1], warm_ft)
        near(pt, case["entropy_pt"])
        near(ft, case["entropy_ft"])
        offset = entropy_offset(pt, ft) if with_offset else EntropyOffset()
        near(offset.b, case["offset_b"])
        near(offset.w, case["offset_w"])
        near(entropy_weight(pt, ft, offset), case["weight_expert"])

        one, two = (torch.nn.Linear(len(rows), rows.shape[1], bias=False).double() for rows in logits)
        for net, rows in zip((one, two), logits, strict=True):
            net.weight.data.copy_(rows.T)  # so that unit vectors give these logits
        made: dict[str, Any] = {"rule": "entropy", "temperature": warm_pt, "expert_temperature": warm_ft}
        adapter = T3Merging(one, expert=two, offset=bool(with_offset), **made)
        adapter(torch.eye(len(logits[0]), dtype=torch.float64))
        near(1 - adapter.evidence["weight"], case["weight_expert"])


@pytest.mark.parametrize("arrays", cases_of("49", "bmm_"))
def test_beta_mixture(arrays: dict[str, Any]) -> None:
    from ponder.numerics.beta_mixture import expect, fit_mixture, maximise

    with all_read(arrays) as case:
        data = tensor(case["data"])
        if "responsibilities" in case:
            mixture = maximise(data, tensor(case["responsibilities"]))
            for name in ("weights", "alpha", "beta"):
                near(getattr(mixture, name), case[name])
            likelihood, responsibilities = expect(data, mixture)
            near(likelihood, case["mean_log_likelihood"])
            near(responsibilities, case["responsibilities_next"])
            return
        mixture, responsibilities, likelihood = fit_mixture(data, len(case["weights"]))
        near(mixture.weights, case["weights"], 5e-3)
        near(mixture.mean, case["mean"], 5e-3)
        for name in ("alpha", "beta"):
            near(getattr(mixture, name), case[name], 0.1)
        np.testing.assert_array_equal(responsibilities.argmax(1), case["label"])
        # The README names no tolerance for these: as the weights; a share where components overlap moves more.
        close(likelihood, case["lower_bound"], 5e-3)
        close(responsibilities, case["proba"], 0.05)


@pytest.mark.parametrize("arrays", cases_of("49", "slerp"))
def test_slerp(arrays: dict[str, Any]) -> None:
    from ponder.numerics.model_merging import slerp

    with all_read(arrays) as case:
        first, second = tensor(case["v"]), tensor(case["w"])
        for alpha, wanted in zip(case["alpha"].tolist(), case["out"], strict=True):
            near(slerp(alpha, first, second), wanted)
        near(slerp(0.5, first, 2 * first), case["parallel_out"])

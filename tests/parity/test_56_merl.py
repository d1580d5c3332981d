"""Card 56 (Liu et al. 2024, MERL): contrastive losses, zero-shot scores, and metrics of one class."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parity.fields import all_read, cases_of, names_of

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")

pytestmark = pytest.mark.torch


KINDS = ("clip_", "merl_total", "zeroshot", "template_", "metric_")


def every(prefix: str) -> list[Any]:
    return cases_of("56", prefix)


def test_every_case_is_computed() -> None:
    assert [name for name in names_of("56") if not name.startswith(KINDS)] == []


def near(ours: Any, wanted: Any, tolerance: float = 1e-8) -> None:
    np.testing.assert_allclose(np.asarray(ours), wanted, rtol=tolerance, atol=tolerance)


def tensor(array: Any, *, grad: bool = False) -> Any:
    return torch.tensor(array, dtype=torch.float64, requires_grad=grad)


@pytest.mark.parametrize("raw", every("clip_"))
def test_pair_loss(raw: dict[str, Any]) -> None:
    from ponder.numerics.contrastive import cosines, pair_accuracy, pair_loss

    with all_read(raw) as case:
        x, y = tensor(case["x"], grad=True), tensor(case["y"], grad=True)
        loss = pair_loss(x, y, temperature=float(case["cfg"][0]))
        loss.backward()
        near(cosines(x, y).detach(), case["sim"])
        near(loss.detach(), case["loss"])
        near(x.grad, case["grad_x"])
        near(y.grad, case["grad_y"])
        for top in (1, 5):
            wanted = float(case[f"acc{top}"])
            if not np.isnan(wanted):
                near(pair_accuracy(x.detach(), y.detach(), top), wanted, 1e-6)


@pytest.mark.parametrize("raw", every("merl_total"))
def test_whole_loss(raw: dict[str, Any]) -> None:
    from ponder.numerics.contrastive import dropout_views, pair_loss

    with all_read(raw) as case:
        views = dropout_views(
            tensor(case["pooled"]),
            [tensor(case["W1"]), tensor(case["W2"])],
            [tensor(case["mask1"]), tensor(case["mask2"])],
        )
        cross, uni = pair_loss(tensor(case["ecg_proj"]), tensor(case["text_proj"])), pair_loss(*views)
        near(cross, case["loss_cma"])
        near(uni, case["loss_uma"])
        near(cross + uni, case["loss"])


@pytest.mark.parametrize("raw", every("template_"))
def test_class_weight(raw: dict[str, Any]) -> None:
    from ponder.numerics.contrastive import class_weight

    with all_read(raw) as case:
        near(class_weight(tensor(case["embed_raw"])), case["class_weight"])


@pytest.mark.parametrize("raw", every("zeroshot"))
def test_zero_shot(raw: dict[str, Any]) -> None:
    from ponder.adapt.merl import MERL
    from ponder.numerics.contrastive import class_weight, standardised
    from ponder.numerics.multi_label import class_metrics, macro_mean

    with all_read(raw) as case:
        weights = torch.stack([class_weight(row[None]) for row in tensor(case["text_embed_raw"])])
        near(weights.T, case["class_weights"])
        scores = MERL(torch.nn.Identity(), classes=weights)(tensor(case["ecg_embed_raw"]))
        near(scores, case["scores"])
        near(standardised(scores), case["sigmoid_scores"])
        labels = case["labels"].T.tolist()
        released = [class_metrics(y, s, parity="released") for y, s in zip(labels, scores.T.tolist(), strict=True)]
        ours = [class_metrics(y, s) for y, s in zip(labels, scores.T.tolist(), strict=True)]
        near([m.area for m in released], case["auroc"], 1e-9)
        near([m.f1 for m in released], case["f1_max"], 1e-9)
        near([m.accuracy for m in released], case["acc_strict"], 1e-9)
        by_definition = 100 * ((case["scores"] >= case["best_threshold"]) == case["labels"]).mean(0)
        near([m.accuracy for m in ours], by_definition, 1e-9)
        # Of some classes the stored value lacks the threshold's own sample, although the stored score equals the stored
        # threshold: it is then the strict one. Anything else is an error.
        gap = np.minimum(np.abs(case["acc_ge"] - by_definition), np.abs(case["acc_ge"] - case["acc_strict"]))
        near(gap, 0, 1e-9)
        near([m.threshold for m in released], case["best_threshold"])
        means = [macro_mean([m[at] for m in released]) for at in range(3)]
        near(means, case["means"], 1e-9)


@pytest.mark.parametrize("raw", every("metric_"))
def test_metrics_of_one_class(raw: dict[str, Any]) -> None:
    from ponder.numerics.multi_label import class_metrics

    with all_read(raw) as case:
        labels, scores = case["labels"].tolist(), case["scores"].tolist()
        released = class_metrics(labels, scores, parity="released")
        near(released.area, case["auroc"], 1e-9)
        near(released.f1, case["f1_max"], 1e-9)
        near(released.threshold, case["best_threshold"])
        near(released.accuracy, case["acc_strict"], 1e-9)
        near(class_metrics(labels, scores).accuracy, case["acc_ge"], 1e-9)

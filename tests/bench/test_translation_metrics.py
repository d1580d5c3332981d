"""Metrics of translations: sacrebleu's own numbers, plug-ins, and what is refused."""

from __future__ import annotations

import sys
import types

import pytest

from ponder.bench.translation_metrics import TranslationMetric, load_metric
from ponder.core.errors import BadInput, ConfigError

SOURCES, REFERENCES = ["a", "b"], ["Das Haus ist rot.", "Der Hund schläft im Garten."]


@pytest.mark.parametrize("name", ["chrf", "bleu"])
def test_the_reference_itself_scores_best_and_nothing_scores_0(name: str) -> None:
    pytest.importorskip("sacrebleu")
    metric = load_metric(name)
    assert metric.score(SOURCES, REFERENCES, REFERENCES) == pytest.approx([100.0, 100.0])
    assert metric.score(SOURCES, ["", ""], REFERENCES) == [0.0, 0.0]
    close, far = metric.score(SOURCES, ["Das Haus ist grün.", "xyz"], REFERENCES)
    assert 0 <= far < close < 100
    assert metric.corpus is not None
    assert metric.corpus(REFERENCES, REFERENCES) == pytest.approx(100.0)


def test_numbers_are_those_of_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    texts = ["Das Haus ist grün.", "Ein Hund schläft."]
    chrf, bleu = load_metric("chrf"), load_metric("bleu")
    assert chrf.corpus is not None
    assert bleu.corpus is not None
    assert chrf.corpus(texts, REFERENCES) == pytest.approx(sacrebleu.corpus_chrf(texts, [REFERENCES]).score)
    assert bleu.corpus(texts, REFERENCES) == pytest.approx(sacrebleu.corpus_bleu(texts, [REFERENCES]).score)
    assert chrf.score(SOURCES, texts, REFERENCES)[0] == pytest.approx(
        sacrebleu.sentence_chrf(texts[0], [REFERENCES[0]]).score
    )


def test_a_learned_metric_is_a_function_of_three_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_metrics")
    module.length = lambda sources, texts, references: [len(text) for text in texts]  # type: ignore[attr-defined]
    module.made = TranslationMetric(name="made", each=module.length)  # type: ignore[attr-defined]
    module.number = 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_metrics", module)
    assert load_metric("my_metrics:length").score(SOURCES, ["x", "yy"], REFERENCES) == [1.0, 2.0]
    assert load_metric("my_metrics:made").name == "made"
    for wrong in ("my_metrics:number", "my_metrics:none", "no_such_module:x", "comet22"):
        with pytest.raises(ConfigError):
            load_metric(wrong)


def test_a_metric_that_gives_no_numbers_is_refused() -> None:
    for values in ([1.0], [1.0, float("nan")]):
        metric = TranslationMetric(name="odd", each=lambda *_, v=values: v)
        with pytest.raises(BadInput, match="odd"):
            metric.score(SOURCES, ["x", "y"], REFERENCES)

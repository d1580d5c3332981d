"""Metrics of translations: chrF and BLEU by sacrebleu, and learned ones as plug-ins.

    load_metric("chrf")                                     built in: chrf, bleu
    load_metric("my_package.metrics:comet")                 a function (sources, translations, references) -> floats
    load_metric("comet")                                    an entry point of the group `ponder.translation_metrics`

Source: sacrebleu (Post 2018; chrF of Popovic 2015). The paper of card 03 (Li et al. 2025, arXiv:2510.06471) measures
COMET, COMETKiwi and judge scores: learned metrics are plug-ins, judges are the verifier `translation_judge`.
Differs: sentence BLEU is smoothed ("exp") as sacrebleu does it, and its mean is not corpus BLEU: both are given.
Cost: no model call for those built in. Needs: the extra `translation` for chrF and BLEU.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ponder.core.errors import BadInput, ConfigError
from ponder.core.registry import need

__all__ = ["GROUP", "TranslationMetric", "load_metric"]

GROUP = "ponder.translation_metrics"

# (sources, translations, references) -> a score for each.
Each = Callable[[Sequence[str], Sequence[str], Sequence[str]], Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class TranslationMetric:
    """A metric by sentence.

    Attributes:
        name: for tables.
        each: scores of the sentences, in their order.
        corpus: score of all of them together, for metrics that have one; or None.
        top: the largest score, for pictures; None where there is none.
    """

    name: str
    each: Each
    corpus: Callable[[Sequence[str], Sequence[str]], float] | None = None
    top: float | None = None

    def score(self, sources: Sequence[str], translations: Sequence[str], references: Sequence[str]) -> list[float]:
        """Return a finite score for each translation.

        Raises:
            BadInput: the metric gave another number of scores, or one that is no finite number.
        """
        found = [float(value) for value in self.each(sources, translations, references)]
        if len(found) != len(translations) or not all(map(math.isfinite, found)):
            raise BadInput(
                f"the metric {self.name!r} must give one finite number for each of {len(translations)} translations,"
                f" it gave {len(found)}"
            )
        return found


def load_metric(spec: str) -> TranslationMetric:
    """Return a metric by name, by entry point, or as "module:function".

    Raises:
        ConfigError: there is no such metric, or it cannot be imported.
        MissingExtra: chrF or BLEU without sacrebleu.
    """
    if spec == "chrf":
        return _sacre("chrF", "CHRF")
    if spec == "bleu":
        return _sacre("BLEU", "BLEU")
    module, colon, name = spec.partition(":")
    if colon:
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as err:
            raise ConfigError(f"cannot import the metric {spec!r}: {err}") from err
        return _plugged(name, found)
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == spec:
            return _plugged(spec, point.load())
    known = sorted({"chrf", "bleu", *(point.name for point in importlib.metadata.entry_points(group=GROUP))})
    raise ConfigError(f"no metric is called {spec!r}; there are {', '.join(known)}, and MODULE:FUNCTION")


def _plugged(name: str, found: object) -> TranslationMetric:
    if isinstance(found, TranslationMetric):
        return found
    if not callable(found):
        raise ConfigError(f"the metric {name!r} is no function (sources, translations, references) -> floats")
    return TranslationMetric(name=name, each=found)


def _sacre(name: str, kind: str) -> TranslationMetric:
    metrics = need("sacrebleu.metrics", extra="translation", feature=name)
    whole = getattr(metrics, kind)()
    single = metrics.BLEU(effective_order=True) if kind == "BLEU" else whole

    def each(sources: Sequence[str], translations: Sequence[str], references: Sequence[str]) -> list[float]:
        pairs = zip(translations, references, strict=True)
        return [single.sentence_score(text, [reference]).score for text, reference in pairs]

    def corpus(translations: Sequence[str], references: Sequence[str]) -> float:
        return float(whole.corpus_score(list(translations), [list(references)]).score)

    return TranslationMetric(name=name, each=each, corpus=corpus, top=100.0)

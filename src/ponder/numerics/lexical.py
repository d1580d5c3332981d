"""How alike two texts are, by their words: TF-IDF vectors and their cosine, BM25, a diverse top k, shared word runs.

Source: TF-IDF with the smoothed logarithm ln((1 + N) / (1 + df)) + 1 and unit length, as scikit-learn's default (which
BoostStep uses, arXiv:2501.03226, card 35); BM25 of Robertson & Zaragoza 2009 with the weight ln(1 + (N - df + 0.5) /
(df + 0.5)), which is never negative; maximal marginal relevance, Carbonell & Goldstein 1998.
Differs: single characters and signs are words too (scikit-learn leaves them out): in mathematics they carry the sense.
BM25 is taken as a share of what the query scores with itself (card 35 does not say how it normalises).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

__all__ = ["Bm25", "TfIdf", "Vector", "cosine", "diverse_top", "shares_run", "words"]

Vector = Mapping[str, float]

_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """Return the words, numbers and signs of a text in lower case."""
    return _WORD.findall(text.lower())


class TfIdf:
    """Weights of words, fitted on a bank of texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        found = Counter(word for text in texts for word in set(words(text)))
        self._weights = {word: math.log((1 + len(texts)) / (1 + count)) + 1 for word, count in found.items()}

    def vector(self, text: str) -> Vector:
        """Return the vector of unit length of a text; words that the bank does not have count for nothing."""
        counts = Counter(word for word in words(text) if word in self._weights)
        raw = {word: count * self._weights[word] for word, count in counts.items()}
        length = math.sqrt(math.fsum(value * value for value in raw.values()))
        return {word: value / length for word, value in raw.items()} if length else {}


class Bm25:
    """Relevance of the texts of a bank to a query.

    Args:
        texts: the bank.
        k1: how soon a repeated word adds nothing more, >= 0.
        b: how much long texts are held back, in [0, 1].
    """

    def __init__(self, texts: Sequence[str], *, k1: float = 1.5, b: float = 0.75) -> None:
        self._counts = [Counter(words(text)) for text in texts]
        self._k1, self._b = k1, b
        lengths = [count.total() for count in self._counts]
        self._mean = math.fsum(lengths) / len(lengths) if any(lengths) else 1.0
        found = Counter(word for count in self._counts for word in count)
        self._weights = {
            word: math.log(1 + (len(texts) - count + 0.5) / (count + 0.5)) for word, count in found.items()
        }

    def scores(self, query: str) -> list[float]:
        """Return for each text its share of the query's score with itself, in [0, 1]; 0 where no word is known."""
        asked = Counter(words(query))
        own = self._score(asked, asked)
        return [min(1.0, self._score(asked, count) / own) if own else 0.0 for count in self._counts]

    def _score(self, asked: Counter[str], text: Counter[str]) -> float:
        held = self._k1 * (1 - self._b + self._b * text.total() / self._mean)
        return math.fsum(
            times * self._weights[word] * text[word] * (self._k1 + 1) / (text[word] + held)
            for word, times in asked.items()
            if word in self._weights and text[word]
        )


def cosine(left: Vector, right: Vector) -> float:
    """Return the cosine of two vectors of unit length, in [0, 1]; 0 where one is empty."""
    if len(right) < len(left):
        left, right = right, left
    return min(1.0, math.fsum(value * right[word] for word, value in left.items() if word in right))


def diverse_top(
    similarity: Sequence[float], bank: Sequence[Vector], count: int, mu: float = 1.0, *, pool: int | None = None
) -> list[tuple[int, float]]:
    """Return (index, similarity to the query) of `count` texts by maximal marginal relevance, in order of choice.

    Each is the one with the largest mu * similarity - (1 - mu) * (largest cosine with those chosen); equal ones go to
    the first. mu = 1 is the plain top k.

    Args:
        similarity: of each text to the query.
        bank: vectors of the texts.
        count: how many.
        mu: weight of similarity against diversity, in [0, 1].
        pool: only so many of the most similar are considered; by default all.
    """
    nearest = [0.0] * len(bank)
    left = sorted(sorted(range(len(bank)), key=lambda at: -similarity[at])[:pool])
    chosen: list[tuple[int, float]] = []
    while left and len(chosen) < count:
        best = max(left, key=lambda at: mu * similarity[at] - (1 - mu) * nearest[at])
        left.remove(best)
        chosen.append((best, similarity[best]))
        if mu < 1:
            for at in left:
                nearest[at] = max(nearest[at], cosine(bank[best], bank[at]))
    return chosen


def shares_run(left: str, right: str, length: int = 13) -> bool:
    """Return whether two texts have `length` words in a row in common."""
    a, b = words(left), words(right)
    runs = {tuple(a[at : at + length]) for at in range(len(a) - length + 1)}
    return any(tuple(b[at : at + length]) in runs for at in range(len(b) - length + 1))

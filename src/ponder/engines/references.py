"""Solved problems to learn from: what a retriever gives to a method, and one that goes by words.

Source: card 35 (R2-LLMs, arXiv:2507.05557, reconstructed): similar problems by an abstract template, next steps by the
template and the last steps, diversity by maximal marginal relevance; the step most like a tentative one as in BoostStep
(arXiv:2501.03226, Apache-2.0): TF-IDF over steps, top 1.
Differs: by default the template is the problem with its numbers masked by a program, not a model's abstraction; the
dense part of the similarity is the cosine of TF-IDF vectors, mixed with BM25 as the card says. All of it is lexical: a
retriever with embeddings plugs in by the same protocol.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ponder.numerics.lexical import Bm25, TfIdf, Vector, cosine, diverse_top, shares_run

__all__ = ["LexicalRetriever", "Pair", "RandomRetriever", "Retrieved", "Retriever", "template", "without_leaks"]

Pair = tuple[str, str]  # question, solution
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Retrieved(NamedTuple):
    """Something retrieved.

    Attributes:
        reference: number of the reference problem.
        text: its solution, or one step of it.
        question: the problem.
        similarity: in [0, 1].
    """

    reference: int
    text: str
    question: str
    similarity: float


class Retriever(Protocol):
    """Finds solved problems and steps; makes no calls of a model (or makes its own)."""

    def problems(self, question: str, count: int) -> list[Retrieved]:
        """Return solved problems like the question, the most similar first."""

    def steps(self, question: str, done: Sequence[str], count: int) -> list[Retrieved]:
        """Return steps that came next where question and last steps were like these, the most similar first."""

    def like(self, step: str) -> Retrieved | None:
        """Return the step whose own text is most like this one."""


def template(question: str) -> str:
    """Return the question with its numbers masked."""
    return _NUMBER.sub("#", question)


def without_leaks(pairs: Sequence[Pair], question: str) -> list[Pair]:
    """Return the pairs whose question is not (nearly) the one that is asked.

    Nearly: a cosine above 0.95 of the unmasked texts, or 13 words in a row in common.
    """
    weights = TfIdf([*(asked for asked, _ in pairs), question])
    own = weights.vector(question)
    return [
        pair for pair in pairs if cosine(weights.vector(pair[0]), own) <= 0.95 and not shares_run(pair[0], question)
    ]


class _Bank:
    """Reference solutions cut into steps."""

    def __init__(self, pairs: Sequence[Pair], delimiter: str) -> None:
        self.pairs = list(pairs)
        cut = [[s for s in solution.split(delimiter) if s.strip()] for _, solution in pairs]
        self.places = [(at, t) for at, steps in enumerate(cut) for t in range(len(steps))]
        self.cut = cut

    def problem(self, at: int, similarity: float) -> Retrieved:
        question, solution = self.pairs[at]
        return Retrieved(at, solution, question, similarity)

    def step(self, number: int, similarity: float) -> Retrieved:
        at, t = self.places[number]
        return Retrieved(at, self.cut[at][t], self.pairs[at][0], similarity)


class LexicalRetriever:
    """Retrieval by words over solved problems.

    Args:
        pairs: (question, solution).
        delimiter: what separates the steps of a solution.
        history: how many of the last steps count for what comes next.
        alpha: weight of the cosine against BM25 among problems, in [0, 1].
        mu: weight of similarity against diversity among them, in [0, 1].
        pool: so many of the most similar are considered for that, >= 1.
        abstract: from a question to its template.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        delimiter: str = "\n",
        history: int = 2,
        alpha: float = 0.7,
        mu: float = 0.7,
        pool: int = 32,
        abstract: Callable[[str], str] = template,
    ) -> None:
        self._bank, self._history, self._abstract = _Bank(pairs, delimiter), history, abstract
        self._alpha, self._mu, self._pool = alpha, mu, pool
        templates = [abstract(question) for question, _ in pairs]
        self._templates, self._words = TfIdf(templates), Bm25(templates)
        self._problems = [self._templates.vector(text) for text in templates]
        keys = [self._key(pairs[at][0], self._bank.cut[at][:t]) for at, t in self._bank.places]
        self._weights = TfIdf(keys)
        self._keys = [self._weights.vector(key) for key in keys]
        texts = [self._bank.cut[at][t] for at, t in self._bank.places]
        self._step_weights = TfIdf(texts)
        self._texts = [self._step_weights.vector(text) for text in texts]

    def _key(self, question: str, done: Sequence[str]) -> str:
        last = done[len(done) - self._history :] if self._history < len(done) else done
        return "\n".join((self._abstract(question), *map(template, last)))

    def problems(self, question: str, count: int) -> list[Retrieved]:
        """Return solved problems like the question, the most similar first."""
        asked = self._abstract(question)
        vector = self._templates.vector(asked)
        similarity = [
            self._alpha * cosine(vector, problem) + (1 - self._alpha) * by_words
            for problem, by_words in zip(self._problems, self._words.scores(asked), strict=True)
        ]
        found = diverse_top(similarity, self._problems, count, self._mu, pool=self._pool)
        return [self._bank.problem(at, similarity) for at, similarity in sorted(found, key=lambda pair: -pair[1])]

    def steps(self, question: str, done: Sequence[str], count: int) -> list[Retrieved]:
        """Return steps that came next where question and last steps were like these, the most similar first."""
        found = _nearest(self._weights.vector(self._key(question, done)), self._keys, count)
        return [self._bank.step(number, similarity) for number, similarity in found]

    def like(self, step: str) -> Retrieved | None:
        """Return the step whose own text is most like this one."""
        found = _nearest(self._step_weights.vector(step), self._texts, 1)
        return self._bank.step(*found[0]) if found else None


def _nearest(query: Vector, bank: Sequence[Vector], count: int) -> list[tuple[int, float]]:
    return diverse_top([cosine(query, vector) for vector in bank], bank, count)


class RandomRetriever:
    """Retrieval by chance: the control for whether similarity is what helps.

    Args:
        pairs: (question, solution).
        rng: chooses.
        delimiter: what separates the steps of a solution.
    """

    def __init__(self, pairs: Sequence[Pair], rng: random.Random, *, delimiter: str = "\n") -> None:
        self._bank, self._rng = _Bank(pairs, delimiter), rng

    def problems(self, question: str, count: int) -> list[Retrieved]:
        """Return any problems."""
        chosen = self._rng.sample(range(len(self._bank.pairs)), min(count, len(self._bank.pairs)))
        return [self._bank.problem(at, 1.0) for at in chosen]

    def steps(self, question: str, done: Sequence[str], count: int) -> list[Retrieved]:
        """Return any steps."""
        chosen = self._rng.sample(range(len(self._bank.places)), min(count, len(self._bank.places)))
        return [self._bank.step(number, 1.0) for number in chosen]

    def like(self, step: str) -> Retrieved | None:
        """Return any step."""
        return next(iter(self.steps("", (), 1)), None)

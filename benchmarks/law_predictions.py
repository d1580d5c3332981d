"""How far each law misses accuracies at twice and four times the largest budget that it was fitted to.

Prints, per law and kind of curve, the mean absolute error at N = 8 and 16 of fits to N = 1, 2, 3 and 4 (where there are
16 samples of a question; at 4 and 8 of fits to 1 and 2 where there are 8), beside that of "the last value stays".
Curves are the majority vote, best-of-N by each recorded verifier and at least one right (pass@N) of each task family
and model, as exact means over all subsets of the recorded samples.
Without a path it records 24 problems x 16 samples of two families with the embedded model, through a response store in
runs/law_predictions. A path is a pool (file or folder), a run folder, rows (`rows.jsonl`), or points as JSON lines
{"curve": "...", "n": 1, "accuracy": 0.4, "questions": 50, "cost": 3.0, "settings": {...}}, which laws of more than one
dimension need: points with an n above a quarter of the largest are then held out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ponder import Sampling, Store, load
from ponder.bench.curve import Point
from ponder.bench.rows import Row, read_rows
from ponder.bench.studies.recording import Turn, record
from ponder.core import registry
from ponder.core.errors import BadInput, MissingExtra
from ponder.models.replay import read_pool
from ponder.numerics.pass_at_k import majority_at_k, pass_at_k
from ponder.planning.laws.law import Observation, Settings, held_out
from ponder.planning.laws.saturation import Saturation

SAMPLES, PROBLEMS = 16, 24
FAMILIES = {"multiplication_stories": {}, "arithmetic_chains": {"steps": 2}}
LAW = Sampling(max_tokens=40)
FOLDER = Path("runs/law_predictions")


@dataclass
class Question:
    """The recorded samples of one question: groups of equal answers, grades, and scores by verifier."""

    groups: list[int | None] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    scores: dict[str, list[float | None]] = field(default_factory=dict)


class Key(NamedTuple):
    """Which curve: what was asked of whom, and what makes one answer of N."""

    source: str
    kind: str


class Last:
    """The guess to beat: beyond what was measured, the last value stays."""

    def fit(self, points: Sequence[Observation]) -> Last:
        """Remember it."""
        self.value = max(points, key=lambda point: point.n).accuracy
        return self

    def predict(self, n: float, settings: Settings | None = None) -> float:
        """Return it."""
        return self.value

    def report(self) -> dict[str, Any]:
        """Return it as a JSON value."""
        return {"value": self.value}


def laws() -> dict[str, Any]:
    """Every registered law with its defaults, the further form of the saturating one, and the guess to beat."""
    found: dict[str, Any] = {"(last value stays)": Last()}
    found |= {entry.name: entry.make() for entry in registry.laws.entries()}
    found["saturation, spread"] = Saturation(difficulty="spread")
    return found


def best_at_k(scores: Sequence[float | None], right: Sequence[bool], k: int) -> float:
    """Return how often the best-scored of k samples is right, over all subsets; equal scores share, missing lose."""
    ranked = [(-math.inf if score is None else score, good) for score, good in zip(scores, right, strict=True)]
    n, above, chance = len(ranked), 0, 0.0
    for level in sorted({score for score, _ in ranked}, reverse=True):
        tied = [good for score, good in ranked if score == level]
        wins = math.comb(n - above, k) - math.comb(n - above - len(tied), k)
        chance += wins / math.comb(n, k) * sum(tied) / len(tied)
        above += len(tied)
    return chance


def vote_at_k(question: Question, k: int) -> float:
    """Return how often the majority of k samples is right; of several right groups one wins at most."""
    ours = {g for g, good in zip(question.groups, question.right, strict=True) if good and g is not None}
    return math.fsum(majority_at_k(question.groups, k, correct=group) for group in sorted(ours))


def coverage_at_k(question: Question, k: int) -> float:
    """Return how often at least one of k samples is right."""
    return pass_at_k(len(question.right), sum(question.right), k)


def by_verifier(label: str, question: Question, k: int) -> float:
    """Return how often the sample that a verifier likes best of k is right."""
    return best_at_k(question.scores[label], question.right, k)


def curves_of(source: str, questions: Sequence[Question]) -> Iterator[tuple[Key, list[Observation], float]]:
    """Yield the curves of one source, each with the largest budget to fit: a quarter of the samples of a question."""
    seen = 2 ** (max(len(question.right) for question in questions).bit_length() - 1) // 4
    if seen < 2:
        print(f"{source}: fewer than 8 samples of a question, left out")
        return
    whole = [question for question in questions if len(question.right) >= 4 * seen]
    kinds: dict[str, Callable[[Question, int], float]] = {"vote": vote_at_k, "pass@N": coverage_at_k}
    for label in sorted(set.intersection(*({*q.scores} for q in whole))):
        kinds[f"best of N by {label}"] = partial(by_verifier, label)
    for kind, chance in kinds.items():
        points = []
        for k in (*range(1, seen + 1), 2 * seen, 4 * seen):
            accuracy = min(1.0, math.fsum(chance(question, k) for question in whole) / len(whole))
            points.append(Observation(n=k, accuracy=accuracy, questions=len(whole), cost=k))
        yield Key(source, kind), points, seen


def from_pool(path: Path) -> dict[str, list[Question]]:
    """Read the graded samples of a pool."""
    names: dict[str, str] = {}
    if path.is_dir() and (path / "problems.jsonl").exists():
        lines = (json.loads(line) for line in (path / "problems.jsonl").read_text().splitlines() if line.strip())
        names = {body["id"]: body.get("family", "") for body in lines}
    found: dict[tuple[str, str], Question] = {}
    for one in sorted((r for r in read_pool(path) if not r.greedy), key=lambda r: r.index):
        if one.grade is None:
            continue
        asked = one.problem or json.dumps([message.to_json() for message in one.messages])
        question = found.setdefault((names.get(one.problem, "") or path.stem, asked), Question())
        question.groups.append(one.group)
        question.right.append(one.grade)
        for label, score in one.scores.items():
            question.scores.setdefault(label, []).append(score.value)
    return _by_source(found)


def from_rows(file: Path) -> dict[str, list[Question]]:
    """Read the graded samples of the largest runs of independent samples, and scores of the same samples."""
    rows = [row for row in read_rows(file) if row.evidence and row.evidence.grades and None not in row.evidence.grades]
    votes = [row for row in rows if row.method in ("self_consistency", "best_of_n")]
    found: dict[tuple[str, str], Question] = {}
    for row in sorted(votes, key=lambda row: (row.candidates, not row.verifier)):
        kept, key = row.evidence, (f"{row.family}, {row.model}", f"{row.problem} {row.seed}")
        assert kept is not None
        question = found.setdefault(key, Question())
        if len(kept.groups) > len(question.groups):
            found[key] = question = Question(list(kept.groups), [bool(grade) for grade in kept.grades])
        same = (list(kept.groups), [bool(grade) for grade in kept.grades]) == (question.groups, question.right)
        if row.verifier and same and kept.scores:
            question.scores[row.verifier] = list(kept.scores)
    return _by_source(found)


def _by_source(found: Mapping[tuple[str, str], Question]) -> dict[str, list[Question]]:
    sources: dict[str, list[Question]] = {}
    for (source, _), question in found.items():
        question.scores = {name: held for name, held in question.scores.items() if len(held) == len(question.right)}
        sources.setdefault(source, []).append(question)
    return sources


def from_points(file: Path) -> Iterator[tuple[Key, list[Observation], float]]:
    """Read curves that were measured elsewhere, with the largest budget to fit."""
    curves: dict[str, list[Observation]] = {}
    for line in file.read_text().splitlines():
        body = json.loads(line)
        curves.setdefault(body.pop("curve"), []).append(Observation(**body))
    for name, points in curves.items():
        yield Key(str(file), name), points, max(point.n for point in points) / 4


def read(path: Path) -> Iterator[tuple[Key, list[Observation], float]]:
    """Read the curves of a path, each with the largest budget to fit."""
    rows = path / "rows.jsonl" if path.is_dir() else path
    first = json.loads(rows.read_text().partition("\n")[0]) if rows.exists() else {}
    if "accuracy" in first:
        yield from from_points(path)
        return
    sources = from_rows(rows) if "method" in first else from_pool(path)
    for source, questions in sources.items():
        yield from curves_of(source, questions)


async def record_own(count: int, file: Path, known: Sequence[Row]) -> None:
    """Record the samples of the default families into a file of rows."""
    model, store = load("llamacpp:smollm2"), Store(FOLDER / "responses.sqlite")
    for family, settings in FAMILIES.items():
        problems = registry.tasks.get(family).make(**settings).generate(count, 7)
        sizes = {"n": SAMPLES}
        points = (
            Point(curve="vote", method="self_consistency", settings={**sizes, "early_stop": "none"}),
            Point(curve="best_of_n", method="best_of_n", settings=sizes, verifier="arithmetic"),
        )
        await record(
            problems,
            [Turn(model=model, points=points)],
            family=family,
            sampling=LAW,
            store=store,
            file=file,
            known=[row for row in known if row.family == family],
        )
    await model.close()
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=PROBLEMS, help="problems of a family, where it records its own")
    asked = parser.parse_args()
    paths = asked.paths or [FOLDER / "rows.jsonl"]
    if not asked.paths:
        FOLDER.mkdir(parents=True, exist_ok=True)
        asyncio.run(record_own(asked.count, paths[0], read_rows(paths[0]) if paths[0].exists() else []))
    missed: dict[tuple[str, str], list[tuple[float, float]]] = {}
    refused: dict[tuple[str, str], set[str]] = {}
    for path in paths:
        for key, points, beyond in read(path):
            kind = "points" if any(point.settings for point in points) else key.kind
            told = ", ".join(f"{point.n:g}: {point.accuracy:.3f}" for point in points[:6])
            print(f"{key.source}, {key.kind} ({points[0].questions} questions): {told}")
            largest = max(point.n for point in points)
            for name, law in laws().items():
                try:
                    found = held_out(law, points, beyond=beyond)
                except (BadInput, MissingExtra) as err:
                    refused.setdefault((name, str(err)), set()).add(kind)
                    continue
                errors = [(n, abs(seen - said)) for n, seen, said in found.points]
                near = [error for n, error in errors if n <= largest / 2]
                far = [error for n, error in errors if n > largest / 2]
                pair = tuple(math.fsum(part) / len(part) if part else math.nan for part in (near, far))
                missed.setdefault((name, kind), []).append((pair[0], pair[1]))
    kinds = sorted({kind for _, kind in missed})
    print("\nmean absolute error in points of accuracy at 2x / 4x the largest budget fitted (curves)")
    print(f"{'law':<24}" + "".join(f"{kind:>28}" for kind in [*kinds, "all"]))
    for name in laws():
        cells = [_cell(missed.get((name, kind), [])) for kind in kinds]
        cells.append(_cell([pair for (law, _), found in missed.items() if law == name for pair in found]))
        print(f"{name:<24}" + "".join(f"{cell:>28}" for cell in cells))
    for (name, why), curves in refused.items():
        print(f"{name} was not fitted to {', '.join(sorted(curves))}: {why}")


def _cell(pairs: Sequence[tuple[float, float]]) -> str:
    if not pairs:
        return "-"
    near, far = (
        100 * math.fsum(known) / len(known)
        if (known := [pair[at] for pair in pairs if pair[at] == pair[at]])
        else math.nan
        for at in (0, 1)
    )
    return f"{near:.2f} / {far:.2f} ({len(pairs)})"


if __name__ == "__main__":
    main()

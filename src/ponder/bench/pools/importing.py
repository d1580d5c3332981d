"""Samples that others have drawn, made into a pool: answers extracted and graded here, texts kept as they were.

Each format's reader yields `Foreign` prompts; those of one key are joined, so that epochs and repeated files become
samples of one problem. An import that was killed goes on when it is called again.
Source: our own. Differs: tokens are known only where the log tells them; else the usage counts calls and is marked as
not exact. Grades are ours, by the answer type and the reference, or those of the log where that is asked for.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ponder.bench.grading import grade
from ponder.bench.job import Named
from ponder.bench.pools.folder import PoolFolder
from ponder.core import registry
from ponder.core.candidate import Score
from ponder.core.context import AnswerType
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Completion, Finish, Tokens
from ponder.core.task import Message, Task
from ponder.core.usage import Usage
from ponder.models.replay import Recorded
from ponder.tasks.problem import Problem

__all__ = ["Foreign", "Given", "Imported", "import_pool"]


@dataclass(frozen=True, kw_only=True)
class Given:
    """One answer of a log.

    Attributes:
        text: of the answer.
        finish: why it ended, as far as the log tells.
        usage: its tokens; None where the log does not tell.
        tokens: with their log-probabilities, where the log has them.
        grade: of the log; None where it has none.
        scores: of verifiers that use no gold, by name.
    """

    text: str
    finish: Finish = "stop"
    usage: Usage | None = None
    tokens: Tokens | None = None
    grade: bool | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """One prompt of a log with its answers.

    Attributes:
        where: file and line, for messages.
        family: task, for rows.
        key: stable name within the family; "" for a digest of the prompt.
        messages: what was asked.
        answers: in their order.
        reference: gold, or None.
        model: who answered, or "".
    """

    where: str
    family: str
    key: str
    messages: tuple[Message, ...]
    answers: tuple[Given, ...]
    reference: str | None = None
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import has made: problems, samples in all, fewest and most of one problem, and how many are graded."""

    problems: int
    samples: int
    fewest: int
    most: int
    graded: int


async def import_pool(
    prompts: Iterable[Foreign],
    path: Path | str,
    *,
    source: str,
    files: Sequence[str],
    answer: str,
    grades: Literal["own", "log"] = "own",
) -> Imported:
    """Make a pool of what a reader yields.

    Args:
        prompts: of the logs.
        path: folder of the pool.
        source: name of the format, and
        files: what was read; a folder takes one import.
        answer: answer type of all problems.
        grades: "own" for ours, "log" for those of the log alone.

    Raises:
        BadInput: nothing to import, a reference that is no answer of the type, or two prompts under one key.
        ConfigError: several models in one log, or a folder with another pool.
    """
    joined = _joined(prompts)
    if not joined:
        raise BadInput(f"no sample in {', '.join(files)}")
    models = sorted({one.model for found in joined.values() for one in found if one.model})
    if len(models) > 1:
        raise ConfigError(f"a pool is of one model, these are {', '.join(models)}: import their logs apart")
    name = models[0] if models else source
    facts = {
        "source": source,
        "files": list(files),
        "model": {"spec": name, "name": name, "info": {"fingerprint": f"{source}:{name}"}},
    }
    kind: AnswerType = registry.answer_types.get(answer).make()
    named, samples = [], []
    for found in joined.values():
        problem = _problem(found[0], answer)
        named.append(Named(found[0].family, problem))
        samples.append(await _records(problem, found, kind, grades))
    with PoolFolder(path, facts, named) as folder:
        for records in samples:
            if not folder.holds(records[0].problem, n=len(records), greedy=False):
                folder.write(records)
    counts = [len(records) for records in samples]
    return Imported(
        problems=len(samples),
        samples=sum(counts),
        fewest=min(counts),
        most=max(counts),
        graded=sum(record.grade is not None for records in samples for record in records),
    )


def _joined(prompts: Iterable[Foreign]) -> dict[tuple[str, str], list[Foreign]]:
    joined: dict[tuple[str, str], list[Foreign]] = {}
    for one in prompts:
        if not one.answers:
            continue
        found = joined.setdefault((one.family, one.key or repr(one.messages)), [])
        if found and (found[0].messages, found[0].reference) != (one.messages, one.reference):
            raise BadInput(
                f"{one.where}: {one.key!r} is another prompt, or has another reference, than at {found[0].where}"
            )
        found.append(one)
    return joined


def _problem(one: Foreign, answer: str) -> Problem:
    try:
        name = f"{one.family}:{one.key}" if one.key else ""
        return Problem(task=Task(messages=one.messages, answer=answer, id=name), reference=one.reference)
    except BadInput as err:
        raise BadInput(f"{one.where}: {err}") from err


async def _records(
    problem: Problem, found: Sequence[Foreign], kind: AnswerType, grades: Literal["own", "log"]
) -> list[Recorded]:
    given = [one for prompt in found for one in prompt.answers]
    answers = [kind.extract(one.text) for one in given]
    groups = await kind.group(answers)
    records = []
    for index, (one, answer, group) in enumerate(zip(given, answers, groups, strict=True)):
        try:
            right = one.grade if grades == "log" else await grade(problem, answer, one.text)
        except ConfigError as err:
            raise BadInput(f"{found[0].where}: {err}; name the answer type with --answer") from err
        records.append(
            Recorded(
                messages=problem.task.messages,
                index=index,
                completion=Completion(
                    message=Message("assistant", one.text),
                    finish=one.finish,
                    usage=one.usage or Usage(calls=1, exact=False),
                    tokens=one.tokens,
                ),
                problem=problem.task.id,
                answer=answer,
                group=group,
                grade=right,
                scores={name: Score(value=value) for name, value in one.scores.items()},
                counted=one.usage is not None and one.usage.exact,
            )
        )
    return records

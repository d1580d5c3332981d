"""A model parts a reasoning trace into steps, and labels those that no marker phrase labels.

Source: the second phase of LIMOPro, Xiao et al. 2025, arXiv:2505.19187 (card 59): rules label what carries a marker, a
model that sees the neighbours labels the rest; a model parts the chain into coherent units as well.
Differs: the paper's prompts are not printed, so these are ours. The model names numbers of pieces, never text: the
steps spell the trace whatever it says. Where it cannot be read the rules stand, and a step stays progressive: such a
step is never dropped.
Cost: one call of a role for each `group` of unlabelled steps, and one to part a trace; one more for a reply that cannot
be read. Needs: nothing beyond text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from ponder.core.context import Context
from ponder.core.errors import BadInput, Interrupted
from ponder.core.model import Sampling
from ponder.core.task import Message, Task
from ponder.engines.asking import Asked, ask_readable, prompts
from ponder.engines.replies import unthought
from ponder.numerics.trace_pruning import Kind
from ponder.numerics.trace_steps import classify_step, split_trace

__all__ = ["GROUP", "ROLE", "Labelled", "Labels", "label_steps", "most_calls", "read_labels", "read_starts"]

Labels: TypeAlias = Literal["rules", "model"]
ROLE = "labeler"
GROUP = 24  # steps that one call labels
_SHOWN = 800  # characters of a step that are shown: its beginning says what it is for
_LAW = Sampling(temperature=0.0, top_p=1.0, max_tokens=1024)

_LABEL = re.compile(r"^[\s>*_`#-]*(?:step\s*)?(\d+)[\s*_`]*[:.)=-]+[\s*_`]*([A-Za-z][A-Za-z -]*)", re.IGNORECASE)
_NAMES: tuple[tuple[str, Kind], ...] = (
    ("progress", "P"),
    ("verif", "V"),
    ("check", "V"),
    ("multi", "M"),
    ("other method", "M"),
    ("another method", "M"),
    ("error", "E"),
    ("correct", "E"),
)


class Labelled(NamedTuple):
    """A trace in steps, each with its kind.

    Attributes:
        steps: give the trace when joined.
        kinds: of each: progressive, verification, multi-method validation, error correction.
        asked: steps that a model labelled.
        problem: what a model was asked and could not be read, so that the rules stand; empty for none.
        ended: what ended the run meanwhile.
    """

    steps: tuple[str, ...]
    kinds: tuple[Kind, ...]
    asked: int = 0
    problem: str = ""
    ended: Interrupted | None = None


def most_calls(steps: int, split: Labels, labels: Labels) -> int:
    """Return the most calls of the role for a trace of so many steps."""
    groups = -(-max(1, steps) // GROUP)
    return 2 * (split == "model") + 2 * groups * (labels == "model")


async def label_steps(
    ctx: Context,
    task: Task,
    trace: str,
    *,
    split: Labels = "rules",
    labels: Labels = "rules",
    least: int = 30,
    role: str = ROLE,
) -> Labelled:
    """Part a trace into steps and label them.

    Args:
        ctx: the run.
        task: what the trace is about.
        trace: the text.
        split: who parts it.
        labels: who labels steps without a marker phrase; by rules they are progressive.
        least: fewest words of a step, where rules part the trace, >= 1.
        role: whose model is asked.
    """
    steps, problems = split_trace(trace, least=least), list[str]()
    if split == "model" and len(pieces := split_trace(trace, least=1)) > 1:
        found = await _part(ctx, task, pieces, role)
        if found.value is not None:
            steps = _joined(pieces, found.value)
        else:
            problems.append(f"not parted by the model: {_why(found)}")
        if found.ended is not None:
            return Labelled(tuple(steps), tuple(map(classify_step, steps)), 0, "; ".join(problems), found.ended)
    kinds = [classify_step(step) for step in steps]
    unmarked = [at for at, kind in enumerate(kinds) if kind == "P"]
    asked, ended = 0, None
    for start in range(0, len(unmarked) if labels == "model" else 0, GROUP):
        group = unmarked[start : start + GROUP]
        said = await _label(ctx, task, steps, group, role, start)
        if said.value is not None:
            asked += len(group)
            for at in group:
                kinds[at] = said.value[at + 1]
        else:
            problems.append(f"{len(group)} steps not labelled by the model: {_why(said)}")
        if said.ended is not None:
            ended = said.ended
            break
    return Labelled(tuple(steps), tuple(kinds), asked, "; ".join(problems), ended)


def read_labels(text: str, numbers: Sequence[int]) -> dict[int, Kind]:
    """Return the kind of each step from lines "3: verification".

    Args:
        text: of the reply; lines on other steps, and other lines, count for nothing.
        numbers: of the steps that need one.

    Raises:
        BadInput: a step has no label, or two that differ, or one that is none of the four.
    """
    found: dict[int, Kind] = {}
    for line in unthought(text).splitlines():
        read = _LABEL.match(line)
        if read is None or int(read[1]) not in numbers:
            continue
        number, word = int(read[1]), read[2].strip().lower()
        # The name that comes first: "multi-method verification" is multi-method.
        named = [(word.index(name), kind) for name, kind in _NAMES if name in word]
        if not named:
            raise BadInput(f"step {number} has the label {word[:40]!r}, which is none of the four")
        _, kind = min(named)
        if found.setdefault(number, kind) != kind:
            raise BadInput(f"step {number} has two labels")
    missing = [str(number) for number in numbers if number not in found]
    if missing:
        raise BadInput(f"no label for step {', '.join(missing[:10])}")
    return found


def read_starts(text: str, count: int) -> list[int]:
    """Return the numbers of the pieces at which a step begins, from the last line "Steps: 1, 4, 6".

    Args:
        text: of the reply.
        count: of the pieces, numbered from 1; the first one always begins a step.

    Raises:
        BadInput: no such line, or a number of no piece.
    """
    lines = re.findall(r"^[\s*_`#]*steps?[*_`\s]*:[*_`\s]*([\d,;\s]+)", unthought(text), re.IGNORECASE | re.MULTILINE)
    if not lines:
        raise BadInput('there is no line "Steps: ..." with the numbers at which a step begins')
    numbers = [int(number) for number in re.findall(r"\d+", lines[-1])]
    if not numbers or not all(1 <= number <= count for number in numbers):
        raise BadInput(f"the numbers must be from 1 to {count}")
    return sorted({1, *numbers})


async def _part(ctx: Context, task: Task, pieces: Sequence[str], role: str) -> Asked[list[int]]:
    shown = "\n".join(f"[{at}] {_cut(piece)}" for at, piece in enumerate(pieces, 1))
    text = prompts("ponder.engines", "trace_labels")["split"].substitute(question=task.prompt, pieces=shown)
    return await ask_readable(
        ctx,
        (Message("user", text),),
        lambda reply: read_starts(reply, len(pieces)),
        path=("split_trace", task.id),
        role=role,
        law=_LAW,
    )


async def _label(
    ctx: Context, task: Task, steps: Sequence[str], group: Sequence[int], role: str, start: int
) -> Asked[Mapping[int, Kind]]:
    # With one neighbour on either side of all that is asked for.
    first, last = max(0, group[0] - 1), min(len(steps), group[-1] + 2)
    shown = "\n".join(f"[{at + 1}] {_cut(steps[at])}" for at in range(first, last))
    numbers = [at + 1 for at in group]
    text = prompts("ponder.engines", "trace_labels")["label"].substitute(
        question=task.prompt, steps=shown, numbers=", ".join(map(str, numbers))
    )
    return await ask_readable(
        ctx,
        (Message("user", text),),
        lambda reply: read_labels(reply, numbers),
        path=("label_steps", task.id, start),
        role=role,
        law=_LAW,
    )


def _joined(pieces: Sequence[str], starts: Sequence[int]) -> list[str]:
    ends = [*starts[1:], len(pieces) + 1]
    return ["".join(pieces[start - 1 : end - 1]) for start, end in zip(starts, ends, strict=True)]


def _cut(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]} ..."


def _why(found: Asked[Any]) -> str:
    return str(found.ended) if found.ended is not None else found.faults[-1] if found.faults else "no reply"

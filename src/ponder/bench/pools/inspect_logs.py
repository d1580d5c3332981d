"""Logs of inspect-ai, `.json` or `.eval` (a zip of JSON files): epochs of a sample become samples of one problem.

Read of a sample: id, epoch, target, the messages before the answer, output (text, stop reason, tokens and their
log-probabilities) and the first score's value.
Source: the log format of inspect-ai, version 2. Differs: only samples that one answer of the model made can be
replayed; those of agents (several answers) are refused, those that ended in an error are left out.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.bench.pools.importing import Foreign, Given
from ponder.bench.pools.scoring import shares
from ponder.core.errors import BadInput
from ponder.core.model import Finish, Tokens
from ponder.core.task import Message
from ponder.core.usage import Usage

__all__ = ["read_inspect"]

_FINISH: Mapping[str, Finish] = {
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
_GRADES = {"C": True, "I": False, "N": False}


def read_inspect(file: Path | str) -> Iterator[Foreign]:
    """Yield the samples of a log, by id and epoch.

    Raises:
        BadInput: the file cannot be read, or a sample is of another form; the message names it.
    """
    path = Path(file)
    head, samples = _zipped(path) if path.suffix == ".eval" else _plain(path)
    try:
        task, model = str(head["eval"]["task"]), str(head["eval"]["model"])
        ordered = sorted(samples, key=lambda found: int(found[1].get("epoch", 1)))
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise BadInput(f"{path}: not a log of inspect-ai: {err!r}") from err
    for where, sample in ordered:
        if sample.get("error"):
            continue
        try:
            yield Foreign(
                where=where,
                family=task.rpartition("/")[2],
                key=str(sample["id"]),
                messages=_asked(sample),
                answers=tuple(_given(sample)),
                reference=_target(sample),
                model=model,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as err:
            why = str(err) if isinstance(err, BadInput) else f"not a sample of inspect-ai: {err!r}"
            raise BadInput(f"{where}: {why}") from err


def _plain(path: Path) -> tuple[Any, list[tuple[str, Any]]]:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        samples = body["samples"] or []
    except json.JSONDecodeError as err:
        raise BadInput(f"{path}:{err.lineno}: not JSON: {err.msg}") from err
    except (OSError, UnicodeDecodeError, RecursionError) as err:
        raise BadInput(f"cannot read {str(path)!r}: {err}") from err
    except (KeyError, TypeError) as err:
        raise BadInput(f"{path}: the log holds no samples: {err!r}") from err
    return body, [(f"{path} sample {number}", sample) for number, sample in enumerate(samples, 1)]


def _zipped(path: Path) -> tuple[Any, list[tuple[str, Any]]]:
    inside = ""
    try:
        with zipfile.ZipFile(path) as file:
            names = [name for name in file.namelist() if name.startswith("samples/") and name.endswith(".json")]
            inside = "header.json"
            head = json.loads(file.read(inside))
            found = []
            for inside in names:
                found.append((f"{path}!{inside}", json.loads(file.read(inside))))
    except json.JSONDecodeError as err:
        raise BadInput(f"{path}!{inside}:{err.lineno}: not JSON: {err.msg}") from err
    except KeyError as err:
        raise BadInput(f"{path}: the log was not finished: {err.args[0]}") from err
    except (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as err:
        raise BadInput(f"cannot read {str(path)!r}: {err}") from err
    return head, found


def _asked(sample: Mapping[str, Any]) -> tuple[Message, ...]:
    """Return what the model was shown: the messages before its only answer, or the input."""
    turns = [turn for turn in sample.get("messages") or [] if isinstance(turn, Mapping)]
    if sum(turn.get("role") == "assistant" for turn in turns) > 1:
        raise BadInput("the model answered several times: only single answers can be replayed")
    before = []
    for turn in turns:
        if turn["role"] == "assistant":
            break
        before.append(turn)
    if not before:
        given = sample["input"]
        before = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    return tuple(Message(turn["role"], _text(turn["content"])) for turn in before)


def _text(content: Any) -> str:
    """Return text out of a string or of a list of parts."""
    if isinstance(content, str):
        return content
    parts = []
    for part in content:
        if part["type"] not in ("text", "reasoning"):
            raise BadInput(f"a message holds {part['type']}, only text can be imported")
        if part["type"] == "text":
            parts.append(part["text"])
    return "".join(parts)


def _given(sample: Mapping[str, Any]) -> Iterator[Given]:
    output = sample["output"]
    choices = output["choices"]
    if not choices:
        raise BadInput("the output holds no answer")
    usage = _usage(output.get("usage"))
    used: Sequence[Usage | None] = [None] * len(choices) if usage is None else shares(usage, len(choices))
    for choice, share in zip(choices, used, strict=True):
        yield Given(
            text=_text(choice["message"]["content"]),
            finish=_FINISH.get(choice.get("stop_reason", "stop"), "stop"),
            usage=share,
            tokens=_tokens(choice.get("logprobs")),
            grade=_grade(sample.get("scores")),
        )


def _usage(found: Mapping[str, Any] | None) -> Usage | None:
    if not found:
        return None
    cached = found.get("input_tokens_cache_read") or 0
    return Usage(
        calls=1,
        prompt_tokens=found["input_tokens"] + cached,
        cached_tokens=cached,
        completion_tokens=found["output_tokens"],
        thinking_tokens=found.get("reasoning_tokens") or 0,
    )


def _tokens(found: Mapping[str, Any] | None) -> Tokens | None:
    steps = (found or {}).get("content")
    if not steps:
        return None
    return Tokens(
        ids=(-1,) * len(steps),
        texts=tuple(step["token"] for step in steps),
        logprobs=tuple(float(step["logprob"]) for step in steps),
        top=tuple(
            tuple((-1, top["token"], float(top["logprob"])) for top in step.get("top_logprobs") or []) for step in steps
        ),
    )


def _grade(scores: Mapping[str, Any] | None) -> bool | None:
    """Return the first score as a grade: C and 1 are right, I, N and 0 wrong, anything else says nothing."""
    value = next(iter(scores.values()))["value"] if scores else None
    if isinstance(value, str):
        return _GRADES.get(value)
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def _target(sample: Mapping[str, Any]) -> str | None:
    found = sample.get("target")
    if isinstance(found, list):
        if len(found) > 1:
            raise BadInput(f"the target has {len(found)} references, one can be compared")
        found = found[0] if found else None
    return None if found in (None, "") else str(found)

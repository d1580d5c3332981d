"""How a request is shown to a model that judges answers to it.

Source: our own.
"""

from __future__ import annotations

import importlib.resources
import string
from collections.abc import Mapping
from functools import cache

from ponder.core.task import Message, Task
from ponder.engines.asking import prompts

__all__ = ["LONGEST", "filled", "parts", "request_text"]

LONGEST = 100_000  # characters of an answer that are shown; more fits no judge


def request_text(task: Task) -> str:
    """Return the text of a task's chat; with the roles where there are several turns."""
    turns = [message for message in task.messages if message.text]
    return turns[0].text if len(turns) == 1 else "\n\n".join(f"{turn.role}: {turn.text}" for turn in turns)


def filled(prompt: str, task: Task, **fields: str) -> tuple[Message, ...]:
    """Return the one user message of a prompt file, with its fields filled in and the task's images."""
    text = _template(prompt).substitute(fields)
    images = tuple(image for message in task.messages for image in message.images)
    return (Message("user", text, images=images),)


@cache
def parts(name: str) -> Mapping[str, string.Template]:
    """Return the parts of a prompt file that has several, by name; the file is read once."""
    return prompts("ponder.verifiers", name)


@cache
def _template(prompt: str) -> string.Template:
    file = importlib.resources.files("ponder.verifiers").joinpath(f"prompts/{prompt}")
    return string.Template(file.read_text(encoding="utf-8"))

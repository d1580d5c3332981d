"""Contexts that a client names: notes that `sleep_time` made about them serve later requests, each key for itself.

`ponder.context_id` names the system message of a chat. With it, the method thinks about that text once, and the notes
are kept; a later request may leave the system message out, and the kept one is put back. Another system message under
the same name replaces the context and its notes. Every key has a file of its own, so that none can learn another's
contexts, nor from the time of an answer that someone else has sent the same text.

Off unless the settings name a folder. Source: our own, on `ponder.engines.sleep_store` (card 37, arXiv:2504.13171).
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponder.core.errors import BadInput
from ponder.core.task import Message
from ponder.engines.sleep_store import SleepStore
from ponder.gateway.errors import ApiError
from ponder.gateway.settings import Contexts, Key

__all__ = ["METHOD", "Named", "check_method", "file_of", "named"]

METHOD = "sleep_time"
_PARAM = "ponder.context_id"
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Named:
    """A chat with its context in place.

    Attributes:
        messages: the chat; the context is its first, a system message, where there is one.
        facts: what the method is told of the context; empty without a name.
    """

    messages: tuple[Message, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


def check_method(wanted: Mapping[str, Any], method: str, rules: Contexts) -> None:
    """Refuse a named context where it would be ignored.

    Raises:
        ApiError: another method, or a gateway that keeps no contexts.
    """
    if wanted.get("context_id") is None:
        return
    if method != METHOD:
        raise ApiError(f"context_id goes with the method {METHOD!r}, and {method!r} is asked for", param=_PARAM)
    if rules.folder is None:
        raise ApiError("this gateway keeps no contexts", code="no_contexts", param=_PARAM)


def file_of(rules: Contexts, key: Key) -> str:
    """Return the file with the contexts of a key; names that differ in any way have different files."""
    digest = hashlib.sha256(key.name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", key.name).strip("-")[:40]
    return str(Path(rules.folder or ".") / f"{readable}-{digest}.sqlite")


def named(wanted: Mapping[str, Any], messages: tuple[Message, ...], key: Key, rules: Contexts) -> Named:
    """Return a chat with the context that it names.

    Args:
        wanted: the object `ponder`, of which `check_method` thinks well.
        messages: the chat as it came.
        key: whose it is.
        rules: where contexts are kept, and how long.

    Raises:
        ApiError: the chat has no question, or no context, and none is kept under the name; the file cannot be used.
    """
    name = wanted.get("context_id")
    if name is None:
        return Named(messages)
    if any("\ud800" <= sign <= "\udfff" for sign in name):  # JSON can spell it, and a file cannot hold it
        raise ApiError("the context_id holds half of a surrogate pair", param=_PARAM)
    if messages[-1].role != "user" or not messages[-1].text.strip():
        raise ApiError("with a context_id the last message is the question", param="messages")
    lead = next((at for at, message in enumerate(messages) if message.role != "system"), len(messages))
    context = "\n\n".join(message.text for message in messages[:lead]).strip()
    context = _in_order(str(name), context, file_of(rules, key), rules)
    chat = (Message("system", context), *messages[lead:])
    return Named(chat, {"context": context, "question": messages[-1].text, "context_id": name})


def _in_order(name: str, context: str, file: str, rules: Contexts) -> str:
    """Return the context, or the one that is kept under the name; let go of what is too old or too much."""
    try:
        with closing(SleepStore(file)) as store:
            store.prune(before=None if rules.days is None else time.time() - 86_400 * rules.days, rows=rules.rows)
            found = None if context else store.find(name)
    except BadInput as err:
        logger.warning("no contexts: %s", err)
        raise ApiError("contexts cannot be read at present", status=503, kind="server_error") from None
    if context:
        return context
    if found is None:
        raise ApiError(
            f"no context is kept under {name[:100]!r}: send it as the system message, once",
            status=404,
            code="unknown_context",
            param=_PARAM,
        )
    return found.context

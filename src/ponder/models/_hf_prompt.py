"""Render a request as the token ids that the model continues.

A prefix is tokenised so that the prompt's own tokens stay as they are: together with the prompt where that leaves them
unchanged, apart where it would not.

Source: our own. Needs: a transformers tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jinja2

from ponder.core.errors import BadInput
from ponder.core.model import Request
from ponder.core.task import Message
from ponder.models._hf_text import CLOSE, OPEN, Spelling

__all__ = ["Prompter", "Rendered"]


class Rendered(NamedTuple):
    """A prompt: its tokens; whether its template has thinking tags, and whether one is open at the end."""

    ids: tuple[int, ...]
    thinks: bool
    opened: bool


class Prompter:
    """Renders requests with a tokenizer and its chat template."""

    def __init__(self, tokenizer: Any, template_options: Mapping[str, Any]) -> None:
        self._tokenizer, self._options = tokenizer, dict(template_options)
        # The fast tokenizer underneath does the same without the wrapper's cost, which counts at every token.
        self._decoder = getattr(tokenizer, "backend_tokenizer", tokenizer).decode

    def render(self, request: Request) -> Rendered:
        """Return the tokens of the request's prompt and prefix.

        Raises:
            BadInput: there is no chat template, it refuses the messages, or nothing is left to continue.
        """
        if not request.messages:
            prompt = request.prompt
            ids = self._encode(prompt, special=True) if isinstance(prompt, str) else tuple(prompt or ())
            if request.prefix and isinstance(prompt, str):
                ids = self._joined(prompt, request.prefix, ids, special=True)
            elif request.prefix:
                ids += self._encode(request.prefix)
            rendered = Rendered(ids, thinks=False, opened=False)
        else:
            text = self._chat(request)
            ids = self._encode(text)
            if request.prefix:
                ids = self._joined(text, request.prefix, ids)
            whole = text + request.prefix
            thinks = OPEN in self._template()
            opened = thinks and whole.rfind(OPEN) > whole.rfind(CLOSE)
            rendered = Rendered(ids, thinks, opened)
        if not rendered.ids:
            raise BadInput("the prompt is empty: there is no token to continue")
        return rendered

    def continuation(self, request: Request, rendered: Rendered, text: str) -> tuple[int, ...]:
        """Return the tokens of `text` after a rendered prompt."""
        if request.messages or isinstance(request.prompt, tuple):
            return self._encode(text)
        prompt = (request.prompt or "") + request.prefix
        return self._joined(prompt, text, rendered.ids, special=True)[len(rendered.ids) :]

    def decode(self, ids: list[int]) -> str:
        """Return the text of some tokens, special ones left out."""
        return str(self._decoder(ids, skip_special_tokens=True))

    def spell(self, before: tuple[int, ...], ids: tuple[int, ...]) -> tuple[str, ...]:
        """Return the text of each of `ids`, which follow `before`."""
        spelling = Spelling(self.decode, before=before)
        for token in ids:
            spelling.push(token)
        spelling.finish()
        return spelling.texts

    def _chat(self, request: Request) -> str:
        if not self._template():
            raise BadInput("this model has no chat template: give a raw prompt instead of messages")
        if request.tools and "tools" not in self._template():
            raise BadInput("this model's chat template takes no tools")
        try:
            text = self._tokenizer.apply_chat_template(
                [_as_dict(message) for message in request.messages],
                tools=[dict(tool) for tool in request.tools] or None,
                add_generation_prompt=True,
                tokenize=False,
                **self._options,
            )
        except (jinja2.TemplateError, ValueError) as err:
            raise BadInput(f"the chat template refuses these messages: {err}") from err
        return str(text)

    def _template(self) -> str:
        template = self._tokenizer.chat_template
        return "".join(template.values()) if isinstance(template, dict) else template or ""

    def _joined(self, first: str, second: str, ids: tuple[int, ...], *, special: bool = False) -> tuple[int, ...]:
        together = self._encode(first + second, special=special)
        return together if together[: len(ids)] == ids else ids + self._encode(second)

    def _encode(self, text: str, *, special: bool = False) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=special).input_ids)


def _as_dict(message: Message) -> dict[str, Any]:
    if message.images:
        raise BadInput("this back-end takes text only: the message holds images")
    out: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        out["tool_calls"] = [dict(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    if message.reasoning is not None:
        out["reasoning_content"] = message.reasoning
    return out

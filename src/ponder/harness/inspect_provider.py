"""A model provider for inspect-ai: `inspect eval task.py --model ponder/best_of_n@embedded -M verifier=arithmetic`.

inspect-ai finds this module by its entry point and sees one model; behind it a method spends its budget, and what all
calls of one answer cost, hidden ones included, is the usage of that answer. By role, since tokens of two models are
different things, and with every candidate, it stands in the output's metadata and in the log of the model call.
Equal conversations (epochs) get seeds of their own, in the order in which they are asked.
Source: our own. Cost: the method's. Needs: inspect-ai (extra `inspect`).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ponder.core import registry
from ponder.core.errors import BadInput, ConfigError, EndpointDown, ProviderError
from ponder.core.model import Model, Sampling
from ponder.core.registry import need
from ponder.core.result import Result, total
from ponder.core.seeds import derive_seed
from ponder.core.solve import load, solve
from ponder.core.store import Store
from ponder.core.task import Message, Role, Task
from ponder.core.usage import Usage
from ponder.harness.method_model import MethodModel

__all__ = ["Answerer", "messages_of", "provider", "sampling_of", "usage_of"]

# What of inspect's configuration fixes the law of the samples, by our name for it.
_LAW = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "max_tokens": "max_tokens",
    "stop_seqs": "stop",
}
# What would change the answer, and no method passes on.
_REFUSED = (
    "best_of",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
    "response_schema",
    "extra_body",
    "modalities",
    "effort",
    "reasoning_effort",
    "reasoning_tokens",
)
_FINISH = {"stop": "stop", "length": "max_tokens", "tool_calls": "tool_calls", "content_filter": "content_filter"}


class Answerer:
    """Answers conversations with a method on a model, whatever the harness.

    Args:
        plan: what answers.
    """

    def __init__(self, plan: MethodModel) -> None:
        self.plan = plan
        self._models: dict[str, Model] = {}
        self._store: Store | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: Counter[str] = Counter()

    async def answer(self, messages: Sequence[Message], sampling: Sampling, seed: int = 0) -> Result:
        """Return what the method found.

        Raises:
            ProviderError: there is no answer, as the model failed to give any.
            ConfigError: model and method do not fit together.
        """
        task = Task(messages=tuple(messages), answer=self.plan.answer)
        again = self._asked[task.id]
        self._asked[task.id] += 1
        try:
            result = await self._solve(task, sampling, derive_seed(seed, "again", again) if again else seed)
            _check(result)
        except BaseException:
            self._asked[task.id] -= 1  # asked again, it is the same question
            raise
        return result

    async def close(self) -> None:
        """Close the models; the next question opens them again."""
        while self._models:
            await self._models.popitem()[1].close()
        if self._store is not None:
            self._store.close()
            self._store = None

    async def _solve(self, task: Task, sampling: Sampling, seed: int) -> Result:
        plan = self.plan
        if self._loop is not asyncio.get_running_loop():  # of an earlier evaluation: what it had open is gone with it
            self._models, self._store, self._loop = {}, None, asyncio.get_running_loop()
        if not self._models:
            self._models = {"policy": load(plan.model, **plan.options)}
            self._models |= {role: load(spec) for role, spec in plan.roles.items()}
        if plan.store and self._store is None:
            self._store = Store(plan.store)
        judge = None if plan.verifier is None else registry.verifiers.get(plan.verifier).make(**plan.judging)
        return await solve(
            task,
            model=self._models["policy"],
            method=plan.method,
            verifier=judge,
            budget=plan.budget,
            seed=seed,
            roles={role: model for role, model in self._models.items() if role != "policy"},
            sampling=sampling,
            store=self._store,
            **plan.settings,
        )


def _check(result: Result) -> None:
    """Raise where the model gave nothing at all, so that the harness sees a failure and no empty answer."""
    if result.candidate is not None and result.candidate.ok:
        return
    if result.answer is None and result.stopped == "endpoint":
        raise EndpointDown(result.detail)
    failed = [candidate.error for candidate in result.candidates if candidate.error]
    if result.answer is None and failed and len(failed) == len(result.candidates):
        raise ProviderError(f"the model gave no answer: {failed[0]}")


def sampling_of(config: Any) -> Sampling:
    """Return the law of a harness's configuration; what it leaves open is ours.

    Raises:
        ConfigError: it asks for what no method passes on.
    """
    refused = [name for name in _REFUSED if getattr(config, name, None) not in (None, False)]
    if (getattr(config, "num_choices", None) or 1) > 1:
        refused.append("num_choices")
    if refused:
        raise ConfigError(f"a method on a model does not take {', '.join(refused)}: leave it out")
    given = {ours: getattr(config, theirs, None) for theirs, ours in _LAW.items()}
    law: dict[str, Any] = {
        name: tuple(value) if name == "stop" else value for name, value in given.items() if value is not None
    }
    return replace(Sampling(), **law)


def messages_of(chat: Sequence[Any]) -> tuple[Message, ...]:
    """Return a conversation as ours.

    Raises:
        BadInput: it holds something else than text and images.
    """
    return tuple(map(_message, chat))


def _message(message: Any) -> Message:
    role: Role = message.role
    texts: list[str] = []
    images: list[str] = []
    parts = message.content if isinstance(message.content, list) else [message.content]
    for part in parts:
        kind = "text" if isinstance(part, str) else part.type
        if kind == "text":
            texts.append(part if isinstance(part, str) else part.text)
        elif kind == "image":
            images.append(_address(part.image))
        elif kind != "reasoning":  # thinking is not part of a conversation
            raise BadInput(f"a message holds {kind}: methods take text and images")
    calls = tuple(
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function, "arguments": json.dumps(call.arguments)},
        }
        for call in getattr(message, "tool_calls", None) or ()
    )
    body = {"role": role, "text": "\n".join(texts), "images": images, "tool_calls": calls}
    return Message.from_json({**body, "tool_call_id": getattr(message, "tool_call_id", None)})


def _address(image: str) -> str:
    if image.startswith(("data:", "http://", "https://")):
        return image
    raise BadInput("an image of a message is neither data nor an address")


def usage_of(paid: Mapping[str, Usage]) -> dict[str, Any]:
    """Return what all roles paid in the words of inspect's `ModelUsage`: input tokens without cached ones."""
    sum_ = total(paid)
    return {
        "input_tokens": sum_.prompt_tokens - sum_.cached_tokens,
        "output_tokens": sum_.completion_tokens,
        "total_tokens": sum_.tokens,
        "input_tokens_cache_read": sum_.cached_tokens or None,
        "reasoning_tokens": sum_.thinking_tokens or None,
        "total_cost": sum_.usd,
    }


def provider() -> type:
    """Return the class that inspect-ai makes its model from.

    Raises:
        MissingExtra: inspect-ai is not installed.
    """
    inspect_model = need("inspect_ai.model", extra="inspect", feature="the provider for inspect-ai")

    class Ponder(inspect_model.ModelAPI):  # type: ignore[misc, name-defined]  # inspect-ai's types are not read
        """A method on a model."""

        def __init__(
            self,
            model_name: str,
            base_url: str | None = None,
            api_key: str | None = None,
            config: Any = None,
            **arguments: Any,
        ) -> None:
            super().__init__(model_name, base_url, api_key, [], config or inspect_model.GenerateConfig())
            address = {"model_base_url": base_url} if base_url is not None else {}
            self.answerer = Answerer(MethodModel.read(model_name, {**address, **arguments}))

        async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
            """Answer a conversation."""
            if tools and tool_choice != "none":
                raise ConfigError("methods answer without tools: run agents on the model itself")
            messages, law = messages_of(input), sampling_of(config)
            seed = config.seed or 0
            result = await self.answerer.answer(messages, law, seed)
            output = _output(inspect_model, self.model_name, result)
            asked = {"model": self.model_name, "messages": [message.to_json() for message in messages], "seed": seed}
            return output, inspect_model.ModelCall.create(asked, result.to_json(), time=result.seconds)

        async def aclose(self) -> None:
            """Close the models."""
            await self.answerer.close()

        def should_retry(self, ex: Exception) -> bool:
            """Whether the same question may go well the next time."""
            return isinstance(ex, ProviderError) and ex.retryable

        def connection_key(self) -> str:
            """Return what shares a pool of connections: the model, whatever the method."""
            return self.answerer.plan.model

    return Ponder


def _output(inspect_model: Any, name: str, result: Result) -> Any:
    """Return a result as inspect's output."""
    chosen = result.candidate
    finish = "unknown" if chosen is None or chosen.finish is None else _FINISH.get(chosen.finish, "unknown")
    text = result.text if chosen is not None else result.answer or ""
    output = inspect_model.ModelOutput.from_content(model=name, content=text, stop_reason=finish)
    output.usage = inspect_model.ModelUsage(**usage_of(result.paid))
    output.time = result.seconds
    output.metadata = {
        "ponder": {
            "answer": result.answer,
            "method": result.method,
            "settings": dict(result.settings),
            "stopped": result.stopped,
            "detail": result.detail,
            "deterministic": result.deterministic,
            "candidates": len(result.candidates),
            "usage": {role: used.to_json() for role, used in result.usage.items()},
            "paid": {role: used.to_json() for role, used in result.paid.items()},
        }
    }
    if not text and result.stopped != "done":
        output.error = f"no answer: {result.detail or result.stopped}"
    return output


if importlib.util.find_spec("inspect_ai") is not None:  # loaded by its entry point, or by a test
    need("inspect_ai.model", extra="inspect", feature="the provider for inspect-ai").modelapi(name="ponder")(provider)

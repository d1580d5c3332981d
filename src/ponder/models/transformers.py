"""A white-box model on transformers: batched sampling with one prefill, certainty, scoring, hidden states.

One thread owns the weights. Calls of all tasks share one batch that stays full: each prompt is read once, its keys
and values are copied to every sibling, and a row that ends makes room for the next sibling. Every row draws from its
own stream of random numbers, so its text depends on its seed and its logits only. A batch of another shape rounds the
logits otherwise, though (seen: about 1e-5 nats in float32, up to 0.2 in bfloat16), which now and then turns a draw.
Equal seeds give equal texts for certain only with `batch=1` and `prompt_cache=0` on a processor, and the model declares
just that.

Source: our own; certainty is card 26 (arXiv:2502.18581), accumulated from the raw logits while they are there.
Differs: counts and certainty include the end-of-text token, whose text is empty; scored text counts as prompt tokens.
Cost: one forward pass per token of the batch. Needs: the extra `torch`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError, RequestRefused
from ponder.core.model import Completion, Determinism, ModelInfo, Request, Sink, TokenCount, Tokens
from ponder.core.registry import models, need
from ponder.core.task import Message
from ponder.core.usage import Usage

if TYPE_CHECKING:
    from ponder.models._hf_engine import Drawn, Prompt
    from ponder.models._hf_measures import Top
    from ponder.models._hf_prompt import Rendered
    from ponder.models._hf_reading import Insides, Reading, Text

__all__ = ["TransformersModel"]

_ACCESS = (
    Access.TEXT,
    Access.PREFIX,
    Access.LOGPROBS,
    Access.TOP_LOGPROBS,
    Access.LOGITS,
    Access.SCORE,
    Access.HIDDEN,
    Access.ATTENTION,
    Access.SEED,
    Access.N,
)


@models("hf", card=26, access=_ACCESS, needs=("torch",), since="0.1")
class TransformersModel:
    """A causal language model of the transformers library.

    Attributes:
        module, tokenizer: the transformers objects; while calls run, only the model's own thread may use `module`.
        name, access, determinism, info: of the `Model` protocol.
    """

    access = frozenset(_ACCESS)

    def __init__(
        self,
        module: Any,
        tokenizer: Any,
        *,
        fingerprint: str,
        name: str = "hf",
        batch: int = 64,
        cache_bytes: int = 4 * 2**30,
        prompt_cache: int = 8192,
        template_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Take a loaded model and its tokenizer; `from_spec` loads them.

        Args:
            module: a causal language model whose layers are all attention.
            tokenizer: its tokenizer, with a chat template if messages are to be answered.
            fingerprint: identifies the weights in the response store.
            name: what it is called in traces.
            batch: most rows that run together, >= 1.
            cache_bytes: most memory for their keys and values; fewer rows run where it would not do.
            prompt_cache: tokens of prompts whose keys and values are kept for later calls; 0 keeps none.
            template_options: passed to the chat template, for example {"enable_thinking": False}.

        Raises:
            ConfigError: a setting out of range.
            MissingExtra: the extra `torch` is not installed.
        """
        if batch < 1 or cache_bytes < 1 or prompt_cache < 0:
            raise ConfigError("batch and cache_bytes must be at least 1, prompt_cache at least 0")
        _need()
        from ponder.models._hf_engine import Engine
        from ponder.models._hf_open import describe
        from ponder.models._hf_prompt import Prompter
        from ponder.models._hf_slots import Network

        self.module, self.tokenizer, self.name = module, tokenizer, name
        network = Network(module)
        options = dict(template_options or {})
        identity = (fingerprint, str(module.dtype), sorted(options.items()))
        self.info: ModelInfo = describe(module, ":".join(map(str, identity)))
        alone = batch == 1 and prompt_cache == 0 and network.device.type == "cpu"
        self.determinism: Determinism = "exact" if alone else "best_effort"
        self._prompter = Prompter(tokenizer, options)
        self._texts: deque[tuple[Text, Future[Reading]]] = deque()
        self._engine = Engine(
            network,
            self._prompter.decode,
            ends=_ends(module, tokenizer),
            batch=batch,
            cache_bytes=cache_bytes,
            prompt_cache=prompt_cache,
        )

    @classmethod
    def from_spec(cls, rest: str, *, device: str = "auto", dtype: str = "auto", **options: Any) -> TransformersModel:
        """Load "smollm2" (fetched by ponder), "/directory", "/file.gguf" or the hub's "org/name".

        Args:
            rest: which model.
            device: "auto" (an accelerator if there is one), or a torch device.
            dtype: "auto" (bfloat16 where the processor has it, else float32), "bfloat16", "float16" or "float32".
            options: of the constructor.

        Raises:
            BadInput: there is no such model, or its files cannot be used.
            ConfigError: a setting out of range.
            MissingExtra: the extra `torch` is not installed.
        """
        _need()
        from ponder.models._hf_open import open_model

        opened = open_model(rest, device=device, dtype=dtype)
        return cls(opened.module, opened.tokenizer, fingerprint=f"hf:{opened.digest}", name=f"hf:{rest}", **options)

    def count(self, request: Request) -> TokenCount:
        """Return the exact number of prompt tokens.

        Raises:
            BadInput: the request cannot be rendered.
        """
        return TokenCount(len(self._prompter.render(request).ids), True)

    async def generate(self, request: Request, sink: Sink | None = None) -> list[Completion]:
        """Sample `request.n` completions; cancelled, it ends after the step that runs and reports its tokens.

        Raises:
            BadInput: the request cannot be rendered or leaves no room for an answer.
            ProviderError: the model failed or is closed.
        """
        from ponder.models._hf_engine import Job

        if request.json_schema is not None:
            raise RequestRefused("this back-end does not constrain its output to a schema")
        rendered = self._prompter.render(request)
        self._check_room(len(rendered.ids) + 1)
        job = Job(
            ids=rendered.ids,
            request=request,
            limit=min(request.sampling.max_tokens, self._engine.network.context - len(rendered.ids)),
            loop=asyncio.get_running_loop(),
            sink=sink,
            build=partial(self._completion, rendered),
        )
        if sink is not None:
            for index in range(request.n):
                sink.prompt(index, len(rendered.ids))
        self._engine.submit(job)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            job.cancelled.set()
            # At most one step more: what it drew is reported before the caller settles the cost.
            await asyncio.wait([asyncio.wrap_future(job.future)])
            raise

    async def score(self, request: Request, text: str) -> Completion:
        """Return `text` as if it had been sampled after `request`; calls made together share passes.

        Raises:
            BadInput: the request cannot be rendered, or prompt and text do not fit the context.
            ProviderError: the model failed or is closed.
        """
        rendered, ids, reading = await self._reading(request, text, ())
        usage = Usage(calls=1, prompt_tokens=len(rendered.ids) + len(ids))
        return Completion(
            message=Message("assistant", text),
            finish="stop",
            usage=usage,
            tokens=Tokens(
                ids=ids,
                texts=self._prompter.spell(rendered.ids, ids),
                logprobs=reading.logprobs,
                top=self._named(reading.top) if request.logprobs else None,
            ),
            certainty=reading.certainty if request.certainty else None,
            sent=Usage(calls=1, prompt_tokens=usage.prompt_tokens, cached_tokens=reading.reused),
        )

    async def states(self, request: Request, text: str, *, layers: Sequence[int]) -> Reading:
        """Read `text` after `request` and return its tokens' log-probabilities, certainty and hidden states.

        As `score`, calls made together share passes, and a prompt that was read before is not read again.

        Args:
            request: the prompt.
            text: at least one token.
            layers: which hidden states, in [0, layers of the model]; 0 are the embeddings.

        Raises:
            BadInput: as `score`, or there is no such layer.
            ProviderError: the model failed or is closed.
        """
        most = self._engine.network.config.num_hidden_layers
        if not layers or not all(0 <= layer <= most for layer in layers):
            raise BadInput(f"layers must be some of 0 to {most}, got {list(layers)}")
        return (await self._reading(request, text, tuple(layers)))[2]

    async def inspect(
        self, request: Request, text: str = "", *, hidden: bool = True, attention: bool = False
    ) -> Insides:
        """Return logits and, as asked, hidden states and attention maps over the prompt and `text`.

        Raises:
            BadInput: the request cannot be rendered, or prompt and text do not fit the context.
            ProviderError: the model failed or is closed.
        """
        from ponder.models._hf_reading import look

        rendered = self._prompter.render(request)
        ids = rendered.ids + self._prompter.continuation(request, rendered, text)
        self._check_room(len(ids))
        errand = partial(look, self._engine.network, ids, len(rendered.ids), hidden=hidden, attention=attention)
        return await asyncio.wrap_future(self._engine.call(errand))

    async def close(self) -> None:
        """End the thread; calls on their way fail."""
        await asyncio.to_thread(self._engine.close)

    # -- from the engine's rows to completions ---------------------------------------------------------------------

    def _completion(self, rendered: Rendered, row: Drawn, prompt: Prompt) -> Completion:
        """Return the completion of a sibling that ended. Runs in the engine's thread."""
        from ponder.models._hf_text import Thought, split_thinking

        request, text, texts = row.job.request, row.spelling.text, _padded(row.spelling.texts, len(row.ids))
        thought = split_thinking(text, opened=rendered.opened) if rendered.thinks else Thought(None, text, 0)
        usage = Usage(
            calls=1,
            prompt_tokens=len(rendered.ids),
            completion_tokens=len(row.ids),
            thinking_tokens=_covering(texts, thought.length),
        )
        # The prompt was read once for all siblings: sibling 0 pays for it.
        first = row.index == 0
        sent = replace(
            usage,
            prompt_tokens=usage.prompt_tokens if first else 0,
            cached_tokens=prompt.reused if first else 0,
        )
        return Completion(
            message=Message("assistant", thought.answer, reasoning=thought.reasoning),
            finish=row.finish or "cancelled",
            stop=(row.spelling.stopped or "") if row.finish == "stop" else None,
            usage=usage,
            tokens=Tokens(
                ids=tuple(row.ids),
                texts=texts,
                logprobs=None if request.logprobs is None else tuple(row.logprobs),
                top=self._named(row.top) if request.logprobs else None,
            ),
            certainty=tuple(row.certainty) if request.certainty else None,
            sent=sent,
        )

    async def _reading(
        self, request: Request, text: str, layers: tuple[int, ...]
    ) -> tuple[Rendered, tuple[int, ...], Reading]:
        from ponder.models._hf_reading import Text

        rendered = self._prompter.render(request)
        ids = self._prompter.continuation(request, rendered, text)
        self._check_room(len(rendered.ids) + len(ids))
        future: Future[Reading] = Future()
        self._texts.append((Text(rendered.ids, ids, request.logprobs or 0, layers), future))
        self._engine.call(self._read_pending)
        return rendered, ids, await asyncio.wrap_future(future)

    def _read_pending(self) -> None:
        """Read all texts that wait. Runs in the engine's thread."""
        from ponder.models._hf_engine import as_provider_error
        from ponder.models._hf_reading import read_texts

        waiting = [self._texts.popleft() for _ in range(len(self._texts))]
        waiting = [(text, future) for text, future in waiting if future.set_running_or_notify_cancel()]
        try:
            readings = read_texts(self._engine, [text for text, _ in waiting])
        except Exception as err:  # the edge of the thread: whoever waits gets the error
            for _, future in waiting:
                future.set_exception(as_provider_error(err))
            return
        for (_, future), reading in zip(waiting, readings, strict=True):
            future.set_result(reading)

    def _named(self, top: Sequence[Top]) -> tuple[tuple[tuple[int, str, float], ...], ...]:
        return tuple(tuple((i, self._prompter.decode([i]), value) for i, value in step) for step in top)

    def _check_room(self, tokens: int) -> None:
        if tokens > self._engine.network.context:
            raise BadInput(f"{tokens} tokens do not fit the context of {self._engine.network.context} of {self.name}")


def _need() -> None:
    for module in ("torch", "transformers", "safetensors"):
        need(module, extra="torch", feature="the back-end 'hf'")


def _ends(module: Any, tokenizer: Any) -> frozenset[int]:
    """Return the ids that end an answer."""
    found = [tokenizer.eos_token_id]
    for config in (module.generation_config, module.config):
        told = getattr(config, "eos_token_id", None)
        found += told if isinstance(told, list) else [told]
    return frozenset(i for i in found if i is not None)


def _padded(texts: Sequence[str], count: int) -> tuple[str, ...]:
    """Return `texts` with empty ones added for the tokens that have none (end of text)."""
    return (*texts, *[""] * (count - len(texts)))


def _covering(texts: Sequence[str], length: int) -> int:
    """Return how many tokens it takes to spell the first `length` characters."""
    tokens = 0
    while length > 0 and tokens < len(texts):
        length -= len(texts[tokens])
        tokens += 1
    return tokens

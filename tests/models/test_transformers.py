from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'torch': pip install 'ponder[torch]'")

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

import ponder
from ponder.core.access import Access
from ponder.core.errors import BadInput, ConfigError, EndpointDown, ProviderError, RequestRefused
from ponder.core.model import Completion, Model, Request, Sampling, Scorer
from ponder.core.task import Message
from ponder.models.transformers import TransformersModel

pytestmark = pytest.mark.torch

SPECIAL = ["<end>", "<user>", "<bot>"]
SIZE = 98
LONG = Sampling(temperature=1.0, top_p=1.0, max_tokens=40)
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'user' %}<user>{% else %}<bot>{% endif %}{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<bot>{% endif %}"
)


def tiny_tokenizer(template: str | None = TEMPLATE) -> transformers.PreTrainedTokenizerFast:
    """The printable ASCII characters ("Ġ" is the space) and three special tokens: every such text has one spelling."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, "Ġ", *map(chr, range(33, 127))])}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", additional_special_tokens=SPECIAL[1:]
    )
    fast.chat_template = template
    return fast


def tiny_module(seed: int = 0, **settings: object) -> transformers.LlamaForCausalLM:
    torch.manual_seed(seed)
    shape: dict[str, object] = {
        "vocab_size": SIZE,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": 0,
        "initializer_range": 0.4,
    }
    module = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**shape, **settings}))
    return module.eval()


@pytest.fixture(scope="module")
def module() -> transformers.LlamaForCausalLM:
    return tiny_module()


@pytest.fixture
async def model(module):
    model: Any = TransformersModel(module, tiny_tokenizer(), fingerprint="tiny", batch=16)
    yield model
    await model.close()


def ask(text: str, **fields: object) -> Request:
    return Request(messages=(Message("user", text),), **{"sampling": LONG, **fields})  # type: ignore[arg-type]


class Listener:
    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.counts: dict[int, int] = {}
        self.finished: list[int] = []
        self.started = asyncio.Event()

    def token(self, index: int, text: str, count: int = 1) -> None:
        self.texts[index] = self.texts.get(index, "") + text
        self.counts[index] = self.counts.get(index, 0) + count
        self.started.set()

    def prompt(self, index: int, tokens: int) -> None:
        pass

    def done(self, index: int, completion: Completion) -> None:
        self.finished.append(index)


def law_of(module, ids: list[int]) -> torch.Tensor:
    """The next-token logits by the library's own forward pass, without any cache."""
    with torch.inference_mode():
        return module(input_ids=torch.tensor([ids])).logits[0, -1]


# -- the contract ----------------------------------------------------------------------------------------------------


async def test_transformers_model_keeps_the_protocols(model) -> None:
    assert isinstance(model, Model)
    assert isinstance(model, Scorer)
    assert {Access.N, Access.PREFIX, Access.SCORE, Access.LOGITS} <= model.access


async def test_info_counts_weights_and_operations(model, module) -> None:
    info = model.info
    assert info.parameters == sum(p.numel() for p in module.parameters())
    assert (info.layers, info.heads, info.kv_heads, info.hidden, info.context) == (2, 4, 2, 32, 256)
    # By hand: one token passes all weights but the input embedding, and attends to itself in 2 layers of width 32.
    assert info.flops(1, 0) == 2 * (info.parameters - SIZE * 32) + 4 * 2 * 32


async def test_count_is_the_rendered_prompt(model) -> None:
    assert model.count(ask("hello")) == (len("hello") + 2, True)
    assert model.count(Request(prompt=(5, 6, 7), prefix="ab")) == (5, True)


async def test_determinism_is_claimed_only_for_single_rows(model, module) -> None:
    alone = TransformersModel(module, tiny_tokenizer(), fingerprint="tiny", batch=1, prompt_cache=0)
    assert (model.determinism, alone.determinism) == ("best_effort", "exact")
    await alone.close()


# -- sampling --------------------------------------------------------------------------------------------------------


async def test_greedy_equals_the_libraries_own_generate(model, module) -> None:
    ids = model.tokenizer("<user>hello<bot>", add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        expected = module.generate(**ids, do_sample=False, max_new_tokens=30, pad_token_id=0)[
            0, ids["input_ids"].shape[1] :
        ]
    (done,) = await model.generate(ask("hello", sampling=Sampling(temperature=0, max_tokens=30)))
    assert done.tokens.ids == tuple(expected.tolist())


async def test_sibling_alone_equals_sibling_in_a_full_batch(model) -> None:
    together = await model.generate(ask("hello", n=16, seed=3))
    assert len({c.tokens.ids for c in together}) == 16
    for k in (0, 7, 15):
        (alone,) = await model.generate(ask("hello", n=16, seed=3).sibling(k))
        assert alone.tokens == together[k].tokens


async def test_rows_are_refilled_and_siblings_keep_their_order(module) -> None:
    narrow: Any = TransformersModel(module, tiny_tokenizer(), fingerprint="tiny", batch=3)
    wide: Any = TransformersModel(module, tiny_tokenizer(), fingerprint="tiny", batch=32)
    mixed = Sampling(temperature=1.0, top_p=1.0, max_tokens=40, stop=tuple("abcdefghijklm"))
    request = ask("hello", n=20, seed=1, certainty=True, logprobs=2, sampling=mixed)
    few, many = await narrow.generate(request), await wide.generate(request)
    assert [c.tokens.ids for c in few] == [c.tokens.ids for c in many]
    assert len({len(c.tokens.ids) for c in few}) > 3
    for left, right in zip(few, many, strict=True):
        assert left.certainty == pytest.approx(right.certainty, abs=1e-4)
        assert left.tokens.logprobs == pytest.approx(right.tokens.logprobs, abs=1e-4)
    # A batch that stays full needs about total / 3 steps; one that waits for the longest of each three needs more.
    lengths = [len(c.tokens.ids) for c in few]
    waiting = sum(max(lengths[i : i + 3]) for i in range(0, 20, 3))
    assert narrow._engine.steps < waiting
    await narrow.close()
    await wide.close()


async def test_prompt_is_read_once_for_all_siblings(model) -> None:
    request = ask("a prompt of some length", n=16)
    done = await model.generate(request)
    prompt = model.count(request).tokens
    assert model._engine.prompt_tokens == prompt
    assert [c.usage.prompt_tokens for c in done] == [prompt] * 16
    assert [c.sent.prompt_tokens for c in done] == [prompt] + [0] * 15
    again = await model.generate(replace_n(request, 2))
    assert again[0].sent.cached_tokens == prompt
    assert model._engine.prompt_tokens == prompt


def replace_n(request: Request, n: int) -> Request:
    from dataclasses import replace

    return replace(request, n=n)


async def test_different_prompts_share_one_batch_and_change_nothing(model) -> None:
    requests = [ask("x" * length, seed=length, logprobs=0) for length in (1, 4, 9, 30, 60)]
    together = await asyncio.gather(*(model.generate(r) for r in requests))  # noqa: TID251  # results are plain here
    for request, (shared,) in zip(requests, together, strict=True):
        (alone,) = await model.generate(request)
        assert alone.tokens.ids == shared.tokens.ids
        assert alone.tokens.logprobs == pytest.approx(shared.tokens.logprobs, abs=1e-4)


async def test_logprobs_are_of_the_raw_law(model, module) -> None:
    request = ask("hello", logprobs=3, sampling=Sampling(temperature=0.5, top_p=0.7, repeat_penalty=1.3, max_tokens=12))
    (done,) = await model.generate(request)
    ids = list(model._prompter.render(request).ids)
    for token, logprob, top in zip(done.tokens.ids, done.tokens.logprobs, done.tokens.top, strict=True):
        law = torch.log_softmax(law_of(module, ids), -1)
        assert logprob == pytest.approx(float(law[token]), abs=1e-4)
        assert [value for _, _, value in top] == pytest.approx(law.topk(3).values.tolist(), abs=1e-4)
        ids.append(token)


async def test_certainty_is_the_divergence_from_uniform(model, module) -> None:
    request = ask("hello", certainty=True, sampling=Sampling(temperature=0.5, max_tokens=12))
    (done,) = await model.generate(request)
    ids = list(model._prompter.render(request).ids)
    for token, value in zip(done.tokens.ids, done.certainty, strict=True):
        logits = law_of(module, ids)
        expected = logits.logsumexp(-1) - logits.mean() - math.log(SIZE)  # card 26
        assert value == pytest.approx(float(expected), abs=1e-4)
        ids.append(token)


async def test_prefix_is_continued_and_not_repeated(model) -> None:
    request = ask("hello", seed=4)
    (whole,) = await model.generate(request)
    prefix = "".join(whole.tokens.texts[:5])
    (rest,) = await model.generate(ask("hello", prefix=prefix, sampling=Sampling(temperature=0, max_tokens=3)))
    ids = (*model._prompter.render(request).ids, *model.tokenizer(prefix).input_ids)
    (raw,) = await model.generate(Request(prompt=ids, sampling=Sampling(temperature=0, max_tokens=3)))
    assert rest.tokens.ids == raw.tokens.ids


async def test_stop_string_ends_the_answer_before_it(model) -> None:
    request = ask("hello", seed=2)
    (whole,) = await model.generate(request)
    stop = whole.text[4:6]
    assert len(stop) == 2
    heard = Listener()
    law = Sampling(temperature=1.0, top_p=1.0, max_tokens=40, stop=(stop,))
    (cut,) = await model.generate(ask("hello", seed=2, sampling=law), heard)
    assert cut.text == whole.text[: whole.text.find(stop)]
    assert cut.finish == "stop"
    assert "".join(cut.tokens.texts) == cut.text == heard.texts[0]
    assert cut.usage.completion_tokens == len(cut.tokens.ids) == heard.counts[0]


async def test_texts_spell_every_answer_and_its_beginnings(model) -> None:
    for done in await model.generate(ask("hello", n=16, seed=9)):
        assert "".join(done.tokens.texts) == done.text
        assert len(done.tokens.texts) == done.usage.completion_tokens
        assert done.finish == ("stop" if done.tokens.ids[-1] == 0 else "length")


async def test_thinking_is_split_from_the_answer(module) -> None:
    template = TEMPLATE.replace("{% if add_generation_prompt %}<bot>", "{% if add_generation_prompt %}<bot><think>")
    model: Any = TransformersModel(module, tiny_tokenizer(template), fingerprint="tiny")
    (lost,) = await model.generate(ask("hello", seed=2))
    assert lost.text == ""
    assert lost.message.reasoning == "".join(lost.tokens.texts).strip()
    assert 0 < lost.usage.thinking_tokens <= lost.usage.completion_tokens
    (ready,) = await model.generate(ask("hello", seed=2, prefix="so</think>"))
    assert ready.message.reasoning is None
    assert ready.usage.thinking_tokens == 0
    await model.close()


# -- reading ---------------------------------------------------------------------------------------------------------


async def test_score_equals_what_sampling_reported(model) -> None:
    request = ask("hello", seed=5, logprobs=2, certainty=True)
    (done,) = await model.generate(request)
    scored = await model.score(request, done.text)
    length = len(scored.tokens.ids)
    assert scored.tokens.ids == done.tokens.ids[:length]
    assert scored.tokens.logprobs == pytest.approx(done.tokens.logprobs[:length], abs=1e-4)
    assert scored.certainty == pytest.approx(done.certainty[:length], abs=1e-4)
    assert scored.sent.cached_tokens == model.count(request).tokens
    assert "".join(scored.tokens.texts) == done.text


async def test_scores_in_one_batch_equal_scores_alone(model) -> None:
    pairs = [("x" * (3 * i + 1), "y" * (40 - 7 * i)) for i in range(6)]
    together = await asyncio.gather(*(model.score(ask(p), t) for p, t in pairs))  # noqa: TID251  # as above
    for (prompt, text), shared in zip(pairs, together, strict=True):
        alone = await model.score(ask(prompt), text)
        assert shared.tokens.logprobs == pytest.approx(alone.tokens.logprobs, abs=1e-4)
        assert len(alone.tokens.logprobs) == len(text)


async def test_inspect_returns_states_and_maps(model, module) -> None:
    seen = await model.inspect(ask("hello"), "abc", hidden=True, attention=True)
    length = len("hello") + 2 + 3
    assert seen.start == length - 3
    assert seen.hidden.shape == (3, length, 32)
    assert seen.attention.shape == (2, 4, length, length)
    assert torch.allclose(seen.attention.sum(-1), torch.ones(2, 4, length), atol=1e-5)
    assert torch.allclose(seen.logits[-1], law_of(module, list(seen.ids)), atol=1e-4)
    assert module.config._attn_implementation == "sdpa"


async def test_states_in_one_batch_are_those_of_inspection_and_of_scoring(model) -> None:
    pairs = [("x" * (3 * i + 1), "y" * (9 - 2 * i)) for i in range(4)]
    jobs = [model.states(ask(p, certainty=True), t, layers=(2, 0)) for p, t in pairs]
    together = await asyncio.gather(*jobs, model.score(ask("x"), "z"))  # noqa: TID251  # as above
    for (prompt, text), seen in zip(pairs, together[:-1], strict=True):
        inside = await model.inspect(ask(prompt), text)
        alone = await model.score(ask(prompt, certainty=True), text)
        assert torch.allclose(seen.hidden, inside.hidden[[2, 0], inside.start :], atol=1e-4)
        assert seen.logprobs == pytest.approx(alone.tokens.logprobs, abs=1e-4)
        assert seen.certainty == pytest.approx(alone.certainty, abs=1e-4)
    for layers in ((), (3,), (-1,)):
        with pytest.raises(BadInput, match="layers"):
            await model.states(ask("x"), "y", layers=layers)


# -- ends and failures -----------------------------------------------------------------------------------------------


async def test_cancelled_call_reports_its_tokens_and_leaves_the_others(model) -> None:
    heard = Listener()
    endless = Sampling(temperature=1.0, top_p=1.0, max_tokens=200)
    async with asyncio.TaskGroup() as group:
        other = group.create_task(model.generate(ask("other", seed=1)))
        task = group.create_task(model.generate(ask("hello", n=40, sampling=endless), heard))
        await heard.started.wait()
        task.cancel()
        await asyncio.wait([task])
        steps = model._engine.steps
    assert task.cancelled()
    assert sum(heard.counts.values()) > 0
    assert len(heard.finished) < 40
    (alone,) = await model.generate(ask("other", seed=1))
    assert other.result()[0].tokens == alone.tokens
    assert model._engine._rows == []
    assert model._engine.steps >= steps


async def test_failing_step_fails_the_call_and_the_next_one_works(model, module, monkeypatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(model._engine.network, "advance", fail)
        with pytest.raises(ProviderError, match="out of memory"):
            await model.generate(ask("hello"))
    assert len(await model.generate(ask("hello", n=2))) == 2


async def test_closed_model_refuses(module) -> None:
    model: Any = TransformersModel(module, tiny_tokenizer(), fingerprint="tiny")
    await model.close()
    await model.close()
    with pytest.raises(EndpointDown):
        await model.generate(ask("hello"))


async def test_prompts_that_cannot_be_used_are_refused(model, module) -> None:
    with pytest.raises(BadInput, match="context"):
        await model.generate(ask("x" * 300))
    with pytest.raises(RequestRefused, match="schema"):
        await model.generate(ask("hello", json_schema={"type": "object"}))
    with pytest.raises(BadInput, match="no token"):
        await model.generate(Request(prompt=""))
    bare: Any = TransformersModel(module, tiny_tokenizer(None), fingerprint="tiny")
    with pytest.raises(BadInput, match="chat template"):
        bare.count(ask("hello"))
    await bare.close()


async def test_answer_ends_where_the_context_does(model) -> None:
    (done,) = await model.generate(ask("x" * 250, sampling=Sampling(temperature=0, max_tokens=100)))
    assert done.usage.completion_tokens <= 256 - 252


async def test_memory_limit_narrows_the_batch(module) -> None:
    model: Any = TransformersModel(module, tiny_tokenizer(), fingerprint="tiny", batch=16, cache_bytes=1)
    done = await model.generate(ask("hello", n=3))
    assert model._engine.steps == sum(len(c.tokens.ids) - 1 for c in done)
    await model.close()


# -- other architectures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sliding", "mixed", "absolute"])
async def test_rows_agree_with_the_plain_forward_pass(kind: str) -> None:
    shape = {"vocab_size": SIZE, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128}
    ends = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    torch.manual_seed(1)
    if kind == "sliding":
        module = transformers.MistralForCausalLM(transformers.MistralConfig(**shape, **heads, **ends, sliding_window=6))
    elif kind == "mixed":
        layers = ["sliding_attention", "full_attention"]
        config = transformers.Qwen2Config(
            **shape, **heads, **ends, use_sliding_window=True, sliding_window=6, layer_types=layers
        )
        module = transformers.Qwen2ForCausalLM(config)
    else:
        module = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(vocab_size=SIZE, n_embd=32, n_layer=2, n_head=4, n_positions=128, **ends)
        )
    model: Any = TransformersModel(module.eval(), tiny_tokenizer(), fingerprint=kind)
    requests = [Request(prompt=tuple(range(3, 3 + n)), sampling=LONG, seed=n, logprobs=0) for n in (5, 20)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(model.generate(request)) for request in requests]
    for request, task in zip(requests, tasks, strict=True):
        (done,) = task.result()
        assert isinstance(request.prompt, tuple)
        ids = [*request.prompt, *done.tokens.ids]
        with torch.inference_mode():
            laws = torch.log_softmax(module(input_ids=torch.tensor([ids]), use_cache=False).logits[0], -1)
        expected = [float(laws[i - 1, ids[i]]) for i in range(len(request.prompt), len(ids))]
        assert done.tokens.logprobs == pytest.approx(expected, abs=1e-4)
    await model.close()


# -- opening ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PONDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def save(directory: Path, module: transformers.LlamaForCausalLM) -> Path:
    module.save_pretrained(directory)
    tiny_tokenizer().save_pretrained(directory)
    return directory


async def test_directory_opens_and_its_fingerprint_follows_the_weights(tmp_path, module, cache) -> None:
    first: Any = ponder.load(f"hf:{save(tmp_path / 'one', module)}", dtype="float32")
    same = ponder.load(f"hf:{save(tmp_path / 'two', module)}", dtype="float32", batch=2)
    other = ponder.load(f"hf:{save(tmp_path / 'three', tiny_module(7))}", dtype="float32")
    assert first.info.fingerprint == same.info.fingerprint != other.info.fingerprint
    fresh: Any = TransformersModel(module, tiny_tokenizer(), fingerprint="tiny")
    assert await first.generate(ask("hello", n=2)) == await fresh.generate(ask("hello", n=2))
    for model in (first, same, other, fresh):
        await model.close()


def test_what_cannot_be_opened_says_why(tmp_path, cache, module) -> None:
    with pytest.raises(BadInput, match=r"config\.json"):
        ponder.load(f"hf:{tmp_path}")
    with pytest.raises(BadInput, match="no directory"):
        ponder.load(f"hf:{tmp_path}/absent")
    with pytest.raises(BadInput, match="no file"):
        ponder.load(f"hf:{tmp_path}/absent.gguf")
    directory = save(tmp_path / "one", module)
    with pytest.raises(ConfigError, match="dtype"):
        ponder.load(f"hf:{directory}", dtype="int3")
    with pytest.raises(ConfigError, match="device"):
        ponder.load(f"hf:{directory}", device="abacus")
    with pytest.raises(ConfigError, match="batch"):
        ponder.load(f"hf:{directory}", batch=0)
    with pytest.raises(ConfigError, match="slots"):
        ponder.load(f"hf:{directory}", slots=3)


def test_importing_the_back_end_imports_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, ponder.models.transformers; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "numpy", "jinja2"} & set(json.loads(out.stdout))

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra 'torch': pip install 'ponder[torch]'")

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from ponder import Budget, Candidate, Context, Message, Meter, Score, ScriptedModel, Task, Trace
from ponder.core.errors import BadInput, ConfigError
from ponder.engines.step_search import StepVerifier
from ponder.engines.tree import Prefix
from ponder.verifiers.prm import Prm

pytestmark = pytest.mark.torch

TASK = Task.of("1 + 2 + 3", answer="number")
STEPS = ("1 + 2 = 3\n", "3 + 3 = 6\n", "so 6")
HEADS = {
    "tokens": transformers.LlamaForTokenClassification,
    "sequence": transformers.LlamaForSequenceClassification,
    "tags": transformers.LlamaForCausalLM,
}


def tokenizer() -> Any:
    """One token for each byte, and an end."""
    vocabulary = {token: i for i, token in enumerate(["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    made = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")


def save(directory: Path, head: str, labels: int = 2) -> tuple[Any, str]:
    """A random checkpoint."""
    module = HEADS[head](config(labels)).eval()
    path = directory / f"{head}{labels}"
    module.save_pretrained(path)
    tokenizer().save_pretrained(path)
    return module, str(path)


def language_model() -> Any:
    return HEADS["tags"](config(2)).eval()


def config(labels: int) -> Any:
    """The shape of a tiny model; it also sets the seed of its weights."""
    torch.manual_seed(5)
    return transformers.LlamaConfig(
        vocab_size=257,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        num_labels=labels,
        initializer_range=0.5,
    )


def context(budget: Budget | None = None) -> Context:
    return Context(models={"policy": ScriptedModel()}, meter=Meter(budget), trace=Trace())


def prefixes(*counts: int) -> list[Prefix]:
    return [Prefix(node=(n,), steps=STEPS[:n], finished=n == 3) for n in counts]


def logits_after(module: Any, text: str) -> list[float]:
    """The naive way: one text, one pass, the last token."""
    ids = tokenizer()(text, add_special_tokens=False, return_tensors="pt").input_ids
    with torch.inference_mode():
        out = module(input_ids=ids).logits[0]
    found: list[float] = (out if out.dim() == 1 else out[-1]).tolist()
    return found


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


async def scored(path: str, counts: tuple[int, ...], **settings: Any) -> list[Score]:
    return await Prm(checkpoint=path, **settings).score_steps(TASK, prefixes(*counts), context())


@pytest.mark.parametrize("labels", [1, 2])
async def test_token_head_scores_each_step_at_its_separator(labels: int, tmp_path: Path) -> None:
    module, path = save(tmp_path, "tokens", labels)
    found = await scored(path, (1, 3, 2), batch=2)
    text, expected = "1 + 2 + 3\n", []
    for step in STEPS:
        text += step.strip() + "\n"
        logits = logits_after(module, text)
        expected.append(sigmoid(logits[0] if labels == 1 else logits[1] - logits[0]))
    for score, count in zip(found, (1, 3, 2), strict=True):
        assert score.steps == pytest.approx(expected[:count], abs=1e-5)
        assert score.value == score.steps[-1]


@pytest.mark.parametrize("labels", [1, 2])
async def test_sequence_head_scores_the_whole_text(labels: int, tmp_path: Path) -> None:
    module, path = save(tmp_path, "sequence", labels)
    for score, count in zip(await scored(path, (3, 1)), (3, 1), strict=True):
        logits = logits_after(module, "1 + 2 + 3\n" + "".join(STEPS[:count]).strip())
        assert score.value == pytest.approx(sigmoid(logits[0] if labels == 1 else logits[1] - logits[0]), abs=1e-5)
        assert score.steps == ()


async def test_language_model_is_read_by_its_two_tags(tmp_path: Path) -> None:
    module, path = save(tmp_path, "tags")
    (score,) = await scored(path, (1,))
    logits = logits_after(module, "1 + 2 + 3\n1 + 2 = 3\n")
    plus, minus = (tokenizer()(tag).input_ids[0] for tag in "+-")
    assert score.steps == pytest.approx([sigmoid(logits[plus] - logits[minus])], abs=1e-5)
    with pytest.raises(BadInput, match="not one"):
        await scored(path, (1,), good="good")


async def test_line_breaks_inside_a_step_are_not_separators(tmp_path: Path) -> None:
    _, path = save(tmp_path, "tokens")
    prm = Prm(checkpoint=path)
    broken = Prefix(node=(0,), steps=("1 +\n 2 = 3\n\n",), finished=False)
    assert await prm.score_steps(TASK, [broken], context()) == await scored(path, (1,))


async def test_whole_answers_are_split_into_steps_and_aggregated(tmp_path: Path) -> None:
    _, path = save(tmp_path, "tokens")
    whole = [
        Candidate(index=0, message=Message("assistant", "".join(STEPS))),
        Candidate(index=1, message=Message("assistant", " \n")),
    ]
    found, blank = await Prm(checkpoint=path, aggregation="min").score(TASK, whole, context())
    (steps,) = await scored(path, (3,))
    assert found.steps == steps.steps
    assert found.value == min(steps.steps)
    assert blank == Score.missing("there is no step")


async def test_passes_are_metered_and_what_does_not_fit_is_missing(tmp_path: Path) -> None:
    _, path = save(tmp_path, "tokens")
    ctx = context(Budget(calls=1))
    first, second = await Prm(checkpoint=path, batch=1).score_steps(TASK, prefixes(1, 2), ctx)
    assert first.value is not None
    assert second.value is None
    assert "budget" in second.reason
    usage = ctx.meter.nominal["prm"]
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens) == (1, 20, 0)
    assert usage.flops
    (long,) = await Prm(checkpoint=path).score(TASK, [Candidate(index=0, message=Message("assistant", "x" * 500))], ctx)
    assert "context" in long.reason


async def test_without_a_checkpoint_every_score_is_missing_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    assert isinstance(Prm(), StepVerifier)
    (score,) = await Prm().score_steps(TASK, prefixes(1), context())
    assert "checkpoint" in score.reason
    with pytest.raises(BadInput, match="no checkpoint"):
        Prm(checkpoint=str(tmp_path))
    with pytest.raises(ConfigError, match="batch"):
        Prm(batch=0)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="cannot read"):
        await Prm(checkpoint=str(tmp_path)).score_steps(TASK, prefixes(1), context())


async def test_head_of_many_classes_is_refused(tmp_path: Path) -> None:
    _, path = save(tmp_path, "tokens", 3)
    with pytest.raises(BadInput, match="3 classes"):
        await scored(path, (1,))

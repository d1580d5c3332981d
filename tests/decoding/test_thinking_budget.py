"""The processor row by row against the pure controller, and inside a real `generate`."""

from __future__ import annotations

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.thinking_control import Controller, ThinkingTokens, apply

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="no torch here: make test installs it")

from ponder.decoding.thinking_budget import ThinkingBudget  # noqa: E402

TOKENS = ThinkingTokens(open=(1,), close=(2, 6), newline=3, wait=(4, 7))


@pytest.mark.parametrize("parity", ["paper", "released"])
@pytest.mark.parametrize("wait", [False, True])
def test_every_row_follows_a_controller_of_its_own(parity: str, wait: bool) -> None:
    draw = torch.Generator().manual_seed(5)
    rows, steps, size = 7, 40, 9
    processor = ThinkingBudget(TOKENS, 12, wait=wait, parity=parity)  # type: ignore[arg-type]
    twins = [Controller(TOKENS, 12, wait=wait, inside=at % 2 == 0, parity=parity) for at in range(rows)]  # type: ignore[arg-type]
    ids = torch.tensor([[5, 1] if at % 2 == 0 else [5, 5] for at in range(rows)])
    for step in range(steps):
        scores = torch.randn(rows, size, generator=draw, dtype=torch.float64) * 3
        out = processor(ids, scores)
        last = [None if step == 0 else int(ids[at, -1]) for at in range(rows)]
        expected = [apply(twin, token, row) for twin, token, row in zip(twins, last, scores.tolist(), strict=True)]
        torch.testing.assert_close(out, torch.tensor(expected, dtype=torch.float64))
        ids = torch.cat([ids, out.argmax(-1, keepdim=True)], dim=1)
    assert [row.count for row in processor.rows] == [twin.count for twin in twins]


def test_a_closed_thought_in_the_prompt_is_no_open_one() -> None:
    processor = ThinkingBudget(TOKENS, 3)
    scores = torch.zeros(2, 9)
    assert processor(torch.tensor([[1, 5, 2, 6], [1, 5, 5, 2]]), scores) is scores
    assert [row.inside for row in processor.rows] == [False, True]


def test_without_a_budget_the_logits_are_the_very_same() -> None:
    processor = ThinkingBudget(TOKENS, 0, wait=True)
    scores = torch.randn(2, 9)
    assert processor(torch.tensor([[1], [5]]), scores) is scores


def test_another_batch_needs_another_processor() -> None:
    processor = ThinkingBudget(TOKENS, 5)
    processor(torch.tensor([[1], [1]]), torch.zeros(2, 9))
    with pytest.raises(BadInput, match="new processor"):
        processor(torch.tensor([[1, 2]]), torch.zeros(1, 9))


def test_settings_without_sense_are_refused() -> None:
    with pytest.raises(ConfigError):
        ThinkingBudget(TOKENS, -1)


class Words:
    """A tokenizer of words."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [self.known.setdefault(word, len(self.known)) for word in text.split(" ") if word]


def test_markers_may_be_text_of_several_tokens() -> None:
    made = ThinkingBudget.for_tokenizer(Words(), 5, open="< thought >", close="< / thought >")
    assert made.tokens.open == (1, 2, 3)
    assert made.tokens.close == (1, 4, 2, 3)
    with pytest.raises(ConfigError, match="makes no token"):
        ThinkingBudget.for_tokenizer(Words(), 5, open=" ")


def test_inside_a_real_generate_the_span_is_as_long_as_asked() -> None:
    transformers = pytest.importorskip("transformers", reason="no transformers here: make test installs it")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    model = transformers.LlamaForCausalLM(config).eval()
    tokens = ThinkingTokens(open=(1,), close=(2, 6), newline=3, wait=(4,))
    processor = ThinkingBudget(tokens, 10)
    # The end of text is out of reach, so that only the budget can end the thought.
    ids = model.generate(
        torch.tensor([[5, 1], [9, 1]]),
        attention_mask=torch.ones(2, 2, dtype=torch.long),
        max_new_tokens=14,
        do_sample=True,
        eos_token_id=31,
        pad_token_id=0,
        suppress_tokens=[1, 2, 31],
        logits_processor=[processor],
    )
    for row in ids.tolist():
        assert row[10:13] == [3, 2, 6]  # eight free tokens, a newline, then the close

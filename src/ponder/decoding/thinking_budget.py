"""A thinking budget for transformers models: a logits processor with a state of its own for each row of the batch.

    processor = ThinkingBudget.for_tokenizer(tokenizer, budget=500, wait=True)
    model.generate(..., logits_processor=[processor])

Source: Li et al. 2025, arXiv:2510.06471 (card 03), the controller of `ponder.numerics.thinking_control`.
Differs: the released processor looks at row 0 alone and at the first token of each marker; here each row has its own
controller, and markers are matched and forced whole. A prompt that has opened the thought already counts as open.
One processor serves one `generate` call; beam search, which reorders rows, is not for it.
Cost: per step one read of the last tokens and of the rows that are forced. Needs: torch (extra `torch`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.thinking_control import Command, Controller, ThinkingTokens

if TYPE_CHECKING:
    import torch

__all__ = ["ThinkingBudget"]


class ThinkingBudget:
    """Keeps each row's thinking within a budget.

    Args:
        tokens: of the markers, newline and "wait".
        budget: most thinking tokens of a row, its newline included; 0 for no control.
        wait: whether one "wait" may be forced in each row.
        soft: share of the budget from which closing is made likelier, in (0, 1].
        parity: "released" for factors in place of a bias.

    Attributes:
        rows: the controllers, once the first step was taken: `rows[i].count` is the count of row i.

    Raises:
        ConfigError: settings out of range.
    """

    def __init__(
        self,
        tokens: ThinkingTokens,
        budget: int,
        *,
        wait: bool = False,
        soft: float = 0.95,
        parity: Literal["paper", "released"] = "paper",
    ) -> None:
        self._made = {"wait": wait, "soft": soft, "parity": parity}
        Controller(tokens, budget, wait=wait, soft=soft, parity=parity)  # refuses what makes no sense
        self.tokens, self.budget = tokens, budget
        self.rows: list[Controller] = []

    @classmethod
    def for_tokenizer(
        cls,
        tokenizer: Any,
        budget: int,
        *,
        open: str = "<think>",
        close: str = "</think>",
        wait_word: str = "wait",
        **options: Any,
    ) -> ThinkingBudget:
        """Return a processor for markers given as text, of any number of tokens.

        Raises:
            ConfigError: the tokenizer has no token for one of them, or for a newline.
        """

        def ids(text: str) -> tuple[int, ...]:
            found = tuple(int(i) for i in tokenizer.encode(text, add_special_tokens=False))
            if not found:
                raise ConfigError(f"the tokenizer makes no token of {text!r}")
            return found

        newline = ids("\n")
        # Some tokenizers put a mark of the beginning in front: the newline is what comes last.
        tokens = ThinkingTokens(open=ids(open), close=ids(close), newline=newline[-1], wait=ids(wait_word))
        return cls(tokens, budget, **options)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the logits as the controllers want them.

        Args:
            input_ids: [B, T], prompt and what was generated.
            scores: [B, V], logits of the next token; left as they are.

        Raises:
            BadInput: the batch has changed its size.
        """
        if not self.rows:
            histories = input_ids.tolist()
            self.rows = [
                Controller(self.tokens, self.budget, inside=self._opened(history), **self._made)  # type: ignore[arg-type]
                for history in histories
            ]
            commands = [row.step(None) for row in self.rows]
        else:
            last = input_ids[:, -1].tolist()
            if len(last) != len(self.rows):
                raise BadInput(
                    f"the batch had {len(self.rows)} rows and has {len(last)}: use a new processor for each call"
                )
            commands = [row.step(token) for row, token in zip(self.rows, last, strict=True)]
        return self._apply(commands, scores)

    def _opened(self, history: Sequence[int]) -> bool:
        text, opener, closer = tuple(history), self.tokens.open, self.tokens.close
        return _last(text, opener) > _last(text, closer)

    def _apply(self, commands: list[Command], scores: torch.Tensor) -> torch.Tensor:
        close = self.tokens.close[0]
        if any(command.kind == "wait" for command in commands):
            tops = (scores[:, close] == scores.amax(dim=-1)).tolist()
            commands = [
                row.after_wait(top, command.boost) if command.kind == "wait" else command
                for row, command, top in zip(self.rows, commands, tops, strict=True)
            ]
        if all(command.kind == "free" for command in commands):
            return scores
        out = scores.clone()
        boosted = [at for at, command in enumerate(commands) if command.kind == "boost"]
        if boosted:
            places = scores.new_tensor(boosted).long()
            factors = scores.new_tensor([commands[at].boost for at in boosted])
            for token in sorted({self.tokens.newline, close}):
                row = scores[places, token]
                out[places, token] = row * factors if self._made["parity"] == "released" else row + factors
        for at, command in enumerate(commands):
            if command.kind == "force":
                out[at] = float("-inf")
                out[at, command.token] = 0.0
        return out


def _last(text: tuple[int, ...], part: tuple[int, ...]) -> int:
    """Return where `part` begins for the last time, or -1."""
    for start in range(len(text) - len(part), -1, -1):
        if text[start : start + len(part)] == part:
            return start
    return -1

"""Control of thinking at each token: a state machine per answer that says what may come next.

Source: Li et al. 2025, arXiv:2510.06471 (card 03), the thinking-budget controller. The counter is 1 right behind the
opening marker; at the first wish to stop before the budget one "wait" may be forced; from `soft` of the budget on the
closing tokens are made likelier; one token before it a newline is forced, and at it the closing marker.
Differs: markers may be of several tokens (the released code takes the first token of each); the closing tokens gain a
bias instead of a factor, which for a negative logit makes closing less likely; both as released with
`parity="released"`. A span that a model never ends holds budget - 1 tokens, its newline included, in both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ponder.core.errors import ConfigError

__all__ = ["Command", "Controller", "ThinkingTokens", "apply", "quality_score", "read_judgement"]


@dataclass(frozen=True, kw_only=True)
class ThinkingTokens:
    """Token ids of what is watched for and forced.

    Attributes:
        open, close: markers, at least one token each.
        newline: forced before the close.
        wait: forced where the model would stop.
    """

    open: tuple[int, ...]
    close: tuple[int, ...]
    newline: int
    wait: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (self.open and self.close and self.wait):
            raise ConfigError("the markers and the word to wait need at least one token each")


class Command(NamedTuple):
    """What to do with a row of logits.

    Attributes:
        kind: "free" leaves it, "force" leaves one token, "wait" forces `token` if `close` is the most likely one and
            otherwise does what `boost` says, "boost" makes closing likelier.
        token: that is forced.
        boost: strength, >= 0; 0 for none.
    """

    kind: Literal["free", "force", "wait", "boost"]
    token: int = -1
    boost: float = 0.0


class Controller:
    """The state of one answer.

    Args:
        tokens: of the markers.
        budget: most thinking tokens; 0 for no control.
        wait: whether one "wait" may be forced.
        inside: whether the prompt has opened the thought already.
        soft: share of the budget from which closing is made likelier, in (0, 1].
        guard: the counter must be beyond this before a "wait", >= 0.
        parity: "released" for factors instead of a bias.

    Attributes:
        count: of the thinking span: 1 right behind the opening marker.
        inside: the thought.
        stopped: no control any more: the thought has ended once.
        waited: the word has been forced.

    Raises:
        ConfigError: budget below 0, or `soft` out of range.
    """

    def __init__(
        self,
        tokens: ThinkingTokens,
        budget: int,
        *,
        wait: bool = False,
        inside: bool = False,
        soft: float = 0.95,
        guard: int = 5,
        parity: Literal["paper", "released"] = "paper",
    ) -> None:
        if budget < 0 or not 0 < soft <= 1:
            raise ConfigError(f"need budget >= 0 and soft in (0, 1], got {budget!r} and {soft!r}")
        self.tokens, self.budget, self.soft, self.guard, self.parity = tokens, budget, soft, guard, parity
        self.count, self.inside, self.stopped, self.waited = 0, inside, False, False
        self._may_wait = wait
        self._last: tuple[int, ...] = ()
        self._forced: list[int] = []  # rest of a marker of several tokens

    def step(self, token: int | None) -> Command:
        """Take the last token (None: none yet) and say what to do with the logits of the next one."""
        if token is not None:
            self._see(token)
        if self.inside:
            self.count += 1
        if self._forced:
            return Command("force", self._forced.pop(0))
        if not self.inside or self.stopped or self.budget <= 0:
            return Command("free")
        boost = 0.0
        if self.count >= self.soft * self.budget:
            boost = 1 + self.count / self.budget
        if self._may_wait and not self.waited and self.guard < self.count < self.budget:
            return Command("wait", self.tokens.wait[0], boost)
        return self._limit(boost)

    def after_wait(self, forced: bool, boost: float) -> Command:
        """Say what follows a "wait": `forced` tells whether closing was the most likely token, and it was."""
        if forced:
            self.waited = True
            self._forced = list(self.tokens.wait[1:])
            return Command("force", self.tokens.wait[0])
        return self._limit(boost)

    def _limit(self, boost: float) -> Command:
        if self.count >= self.budget:
            self.stopped = True
            self._forced = list(self.tokens.close[1:])
            return Command("force", self.tokens.close[0])
        if self.count == self.budget - 1:
            return Command("force", self.tokens.newline)
        return Command("boost", boost=boost) if boost else Command("free")

    def _see(self, token: int) -> None:
        longest = max(len(self.tokens.open), len(self.tokens.close))
        self._last = (*self._last, token)[-longest:]
        if self._last[-len(self.tokens.open) :] == self.tokens.open:
            self.inside, self.count, self.waited = True, 0, False
        elif self._last[-len(self.tokens.close) :] == self.tokens.close:
            self.inside, self.stopped = False, True


def apply(controller: Controller, token: int | None, logits: Sequence[float]) -> list[float]:
    """Return a row of logits as the controller wants it.

    Args:
        controller: its state moves on.
        token: the last one, or None.
        logits: raw, [V].
    """
    row = list(logits)
    command = controller.step(token)
    close = controller.tokens.close[0]
    if command.kind == "wait":
        command = controller.after_wait(row[close] == max(row), command.boost)
    if command.kind == "force":
        return [0.0 if at == command.token else -math.inf for at in range(len(row))]
    if command.kind == "boost":
        for at in {controller.tokens.newline, close}:
            row[at] = row[at] * command.boost if controller.parity == "released" else row[at] + command.boost
    return row


def quality_score(reference_based: object, reference_free: object) -> float:
    """Return the quality score that is shown to a post-editor, in [0, 100] (card 03, C).

    The mean of two judgements rounded to two places, the one that can be read, or 80 where neither can.
    """
    read = [value for value in (_number(reference_based), _number(reference_free)) if value is not None]
    return round(math.fsum(read) / len(read), 2) if read else 80


def read_judgement(text: str) -> int | None:
    """Return the first number of one to three digits that stands alone in a judge's reply, or None."""
    found = re.search(r"\b\d{1,3}\b", text)
    return None if found is None else int(found.group())


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None

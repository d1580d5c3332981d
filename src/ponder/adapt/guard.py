"""Guard: watch any adapter for collapse, take it back to its last good state, and let it rest for a while.

Source: our own; what collapse looks like is from the studies of card 00, its entropy floor is SAR's
(arXiv:2302.12400).
Differs: the yardstick is the source model on the same inputs, so that a stream of one label is not taken for a
collapse.
Cost: one more forward at each check (every 4th batch by default; each batch where batches are small), a copy of what
adapts after each window, of which two are held (of a memory of 20,000 entries of 128 numbers: about a hundredth of the
run of a small net), and one forward more for a batch that is predicted again. Needs: nothing beyond the adapter inside.
When: always, where nobody looks at the stream.
When not: as a promise of accuracy: a model that gets worse, keeps using all classes and stays as sure as the source, is
not seen. Nor are batch norms that normalise by batches of sorted labels, as the yardstick normalises so too (seen with
EATA on a small batch-norm net, batches of 64, three seeds: error .745 to .763 with it and without, where the source has
.372 to .374). What a plug-in inside does to logits (a label shift's prior) is part of both sides of the comparison.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, Any, NamedTuple

from ponder.core.access import Access
from ponder.core.errors import ConfigError
from ponder.core.registry import adapters
from ponder.engines.online_calls import copied, rows_of
from ponder.engines.online_plugin import Plugin
from ponder.numerics.adaptation import moving_average, reset_threshold
from ponder.numerics.online_metrics import total_variation

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Alarm", "Guard"]


class Alarm(NamedTuple):
    """A collapse that was seen.

    Attributes:
        batch: its number, from 0.
        reason: in words.
        back_to: "saved" or "source".
    """

    batch: int
    reason: str
    back_to: str


@adapters(
    "guard",
    access=(Access.LOGITS,),
    needs=("torch",),
    tags={"what": ("adaptation",), "how": ("certainty",), "where": ("safety",), "how_well": ("controllability",)},
    since="0.1",
)
@dataclass(eq=False, repr=False, kw_only=True)
class Guard(Plugin):
    """Around an adapter: `Guard(Tent(model))`.

    Attributes:
        every: batches between checks against the source, >= 1; below 8 samples for each of them batches are checked
            more often, down to every one. A prediction that is not finite is seen at once.
        window: predictions that a check looks back on; by default at least 64 and 8 for each class.
        drift: total variation between the class histograms of adapter and source that counts as collapse, in (0, 1]; in
            the window, and in a batch of at least 32.
        concentration: share of one class in the source's own predictions from which on updates are left out, in (0, 1]:
            such a stretch has nothing to teach but that class. By default 0.6 of the way from 1/C to 1; 1 turns it
            off.
        floor: running mean entropy (nats) that counts as collapse if the source's is at least `gap` times it; by
            default 0.2 ln C / ln 1000.
        gap: see floor, >= 1.
        rise: how many times the source's running mean entropy the adapter's may be, >= 1, before it counts as collapse
            (if it is also 0.04 ln C nats more). This mean is the loss that adapters by entropy lower: a moving average,
            over checks, that keeps 0.8 of the old. Watched where the adapter inside steps down gradients: the votes of
            a memory grow more mixed as it fills, and no loss is lowered by them.
        rest: batches without updates after an alarm; by default as many as fill a window, at least 8. Doubled at each
            alarm before four windows without one have passed; the state goes back to the source then.
        alarms: what was seen.
        resting: batches still to rest.
        abstained: batches without an update so far.
    """

    every: int = 4
    window: int | None = None
    drift: float = 0.4
    concentration: float | None = None
    floor: float | None = None
    gap: float = 4.0
    rise: float = 1.5
    rest: int | None = None
    alarms: list[Alarm] = field(init=False, default_factory=list)
    resting: int = field(init=False, default=0)
    abstained: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.every < 1 or (self.window is not None and self.window < 1) or (self.rest is not None and self.rest < 0):
            raise ConfigError(
                f"every and window start at 1, rest at 0: got {self.every!r}, {self.window!r} and {self.rest!r}"
            )
        if not 0 < self.drift <= 1 or not 0 < (self.concentration or 1) <= 1 or min(self.gap, self.rise) < 1:
            raise ConfigError("drift and concentration are in (0, 1], gap and rise are at least 1")
        self._batch = 0
        self._fresh_rows = 0  # compared since the last copy of the state or the last alarm
        self._windows = 0  # without an alarm since the last one
        self._strikes = 0
        self._narrow = False
        self._seen: deque[tuple[int, int, float, float]] = deque()  # adapter, source: class and entropy of each
        self._entropies: list[float] | None = None
        super().__post_init__()
        inside = self.host
        while isinstance(inside, Plugin):
            inside = inside.host
        self._descends = "gradients" in inside.access
        self._saved = self._waiting = self._state()  # known to be good; and one to be known as good if what follows is

    def _adapt(self, x: Any) -> Tensor:
        at, self._batch = self._batch, self._batch + 1
        due = at % max(1, min(self.every, rows_of(x) // 8)) == 0
        source = self.source_logits(x) if due else None
        if source is not None:
            self._narrow = self._is_narrow(source)
        held = self.resting > 0 or self._narrow
        self.resting = max(0, self.resting - 1)
        self.abstained += held
        self.cost.skipped += held
        logits = self._predict(x) if held else self.host(x)
        reason = self._broken(logits, source)
        self.evidence = {"abstained": held, "alarm": reason}
        if not reason:
            if source is not None and not held:
                self._keep(len(source), source.shape[1])
            return logits
        return self._roll_back(x, at, reason, logits.shape[1])

    def _keep(self, rows: int, classes: int) -> None:
        """Copy the state after each healthy window; the copy before it has then proved good."""
        self._fresh_rows += rows
        if self._fresh_rows >= self._size(classes):
            self._saved, self._waiting = self._waiting, self._state()
            self._fresh_rows, self._windows = 0, self._windows + 1
            self._strikes = 0 if self._windows >= 4 else self._strikes

    def _is_narrow(self, source: Tensor) -> bool:
        """Whether the source too sees hardly anything but one class in what came last."""
        recent = [row[1] for row in self._seen] + source[_readable(source)].argmax(1).tolist()
        recent = recent[-max(len(source), self._size(source.shape[1]) // 2) :]
        if not recent:
            return False
        most = max(recent.count(label) for label in set(recent)) / len(recent)
        even = 1 / source.shape[1]
        limit = even + 0.6 * (1 - even) if self.concentration is None else self.concentration
        return limit < 1 and len(recent) >= 16 and most >= limit

    def _broken(self, logits: Tensor, source: Tensor | None) -> str:
        """Say what is wrong, or nothing."""
        good = _readable(logits)
        given = good if source is None else _readable(source)
        if not bool(good.all()) and (source is None or bool((given & ~good).any())) and self._weights_broken():
            return "predictions that are not finite"
        good = good & given
        if source is None or not bool(good.any()):
            return ""
        logits, source = logits[good], source[good]
        classes = logits.shape[1]
        found, yardstick = _entropy(logits), _entropy(source)
        self._seen.extend(
            zip(logits.argmax(1).tolist(), source.argmax(1).tolist(), found.tolist(), yardstick.tolist(), strict=True)
        )
        while len(self._seen) > self._size(classes):
            self._seen.popleft()
        self._entropies = moving_average(self._entropies, [float(found.mean()), float(yardstick.mean())], keep=0.8)
        if len(self._seen) < min(32, self._size(classes)):
            return ""
        latest = list(self._seen)[-len(source) :] if len(source) >= 32 else []
        apart = max(_apart(list(self._seen), classes), _apart(latest, classes))
        if apart > self.drift:
            return f"classes are {apart:.2f} apart from the source's (limit {self.drift:g})"
        now, then = self._entropies
        if self._descends and now > self.rise * then and now > then + 0.04 * log(classes):
            return f"average loss (mean entropy) {now:.3f} is over {self.rise:g} times the source's {then:.3f}"
        low = reset_threshold(classes) if self.floor is None else self.floor
        if now < low and then > self.gap * now:
            return f"average loss (mean entropy) {now:.3f} is below {low:.3f}, the source's is {then:.3f}"
        return ""

    def _weights_broken(self) -> bool:
        return any(not bool(tensor.isfinite().all()) for tensor in self._tensors().values())

    def _roll_back(self, x: Any, at: int, reason: str, classes: int) -> Tensor:
        """Return to the last good state, or, if that led here again, to the source; rest; predict the batch anew."""
        again = self._strikes > 0
        if again:
            self._saved = self._start, copied(self._fresh["host"])
        self._waiting = self._saved
        self._write(self._saved[0])
        self.host._remember(copied(self._saved[1]))
        rest = max(8, -(-self._size(classes) // rows_of(x))) if self.rest is None else self.rest
        self.resting = rest * 2**self._strikes
        self._strikes, self._fresh_rows, self._windows = self._strikes + 1, 0, 0
        self.alarms.append(Alarm(at, reason, "source" if again else "saved"))
        self._seen.clear()
        self._entropies = None
        return self._predict(x)

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Copy what the adapter inside would need to go on from here."""
        return self._copies(), copied(self.host._memory())

    def _size(self, classes: int) -> int:
        return max(64, 8 * classes) if self.window is None else self.window

    def _memory(self) -> dict[str, Any]:
        own = {
            "counts": (self._batch, self._fresh_rows, self._windows, self._strikes, self.resting, self.abstained),
            "narrow": self._narrow,
            "seen": list(self._seen),
            "entropies": self._entropies,
            "alarms": [tuple(alarm) for alarm in self.alarms],  # plain, so that a safe load reads them
            "states": getattr(self, "_saved", None) and (self._saved, self._waiting),
        }
        return {**super()._memory(), "guard": own}

    def _remember(self, memory: dict[str, Any]) -> None:
        super()._remember(memory)
        own = memory["guard"]
        self._batch, self._fresh_rows, self._windows, self._strikes, self.resting, self.abstained = own["counts"]
        self._narrow, self._entropies = own["narrow"], own["entropies"]
        self.alarms = [Alarm(*alarm) for alarm in own["alarms"]]
        self._seen = deque(own["seen"])
        self._saved, self._waiting = own["states"] or (self._state(),) * 2


def _apart(rows: Sequence[tuple[int, int, float, float]], classes: int) -> float:
    """Return how far the adapter's classes are from the source's, if it has come to favour one more; else 0."""
    shares = [[0.0] * classes, [0.0] * classes]
    for ours, theirs, *_ in rows:
        shares[0][ours] += 1 / len(rows)
        shares[1][theirs] += 1 / len(rows)
    return total_variation(*shares) if max(shares[0]) > max(shares[1]) else 0.0


def _readable(logits: Tensor) -> Tensor:
    """Return which rows (B,) have a softmax: -inf shuts a class out, but not all of them; inf and nan spoil a row."""
    return ~logits.softmax(1).isnan().any(1)


def _entropy(logits: Tensor) -> Tensor:
    logs = logits.log_softmax(1)
    shares = logs.exp()
    return -(shares * logs.masked_fill(shares == 0, 0.0)).sum(1)

"""Run an adapter over a stream of labelled batches: it sees the inputs only, and each sample is predicted once.

Source: protocol and metrics of card 00.
Differs: forgetting is measured on clean data with the adapter frozen, before and after; memory is what the adapter
holds and what the largest graph saved, counted exactly on any device.
Cost: the adapter's; plus two passes over the clean data. Needs: the extra `torch`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ponder.core.errors import BadInput, ConfigError
from ponder.engines.online import Adapter
from ponder.engines.online_cost import Cost
from ponder.numerics.calibration import calibration_error
from ponder.numerics.online_metrics import calibration_drift, dominant_share, error_by, error_rate

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["OnlineRun", "clean_error", "run_stream"]


@dataclass(frozen=True, kw_only=True)
class OnlineRun:
    """What came of a stream.

    Attributes:
        predictions: class of each sample, in the order of the stream.
        confidences: probability of that class.
        right: whether it is the label.
        domains: domain of each sample.
        cost: of the stream.
        wall: seconds of the whole loop, with what a GPU had in its queue.
        state_bytes: held by the adapter at the end, beside the model.
        graph_bytes: most that one batch saved for its backward passes.
        clean_before: error on clean data before the stream; None without clean data.
        clean_after: the same after it.
    """

    predictions: tuple[int, ...]
    confidences: tuple[float, ...]
    right: tuple[bool, ...]
    domains: tuple[str, ...]
    cost: Cost
    wall: float
    state_bytes: int
    graph_bytes: int
    clean_before: float | None = None
    clean_after: float | None = None

    @property
    def error(self) -> float:
        """Share of wrong predictions over all samples."""
        return error_rate(self.right) or 0.0

    @property
    def domain_errors(self) -> dict[str, float]:
        """Error of each domain."""
        return error_by(self.right, self.domains)

    @property
    def domain_error(self) -> float:
        """Mean of the domains' errors, whatever their sizes."""
        found = self.domain_errors.values()
        return sum(found) / len(found)

    @property
    def forgetting(self) -> float | None:
        """How much the clean error has risen; None without clean data."""
        if self.clean_before is None or self.clean_after is None:
            return None
        return self.clean_after - self.clean_before

    def curve(self, window: int = 256) -> list[float]:
        """Error of each stretch of `window` samples; a shorter rest counts as one."""
        return [error_rate(self.right[at : at + window]) or 0.0 for at in range(0, len(self.right), window)]

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics as plain values; what is missing is None."""
        samples = max(1, self.cost.samples)
        return {
            "samples": len(self.right),
            "error": self.error,
            "domain_error": self.domain_error,
            "domain_errors": self.domain_errors,
            "clean_error": self.clean_after,
            "forgetting": self.forgetting,
            "ece": calibration_error(self.confidences, self.right, bins=15),
            "calibration_drift": calibration_drift(self.confidences, self.right),
            "dominant_share": dominant_share(self.predictions),
            "forwards_per_sample": self.cost.forward_samples / samples,
            "backwards_per_sample": self.cost.backward_samples / samples,
            "updates": self.cost.updates,
            "skipped": self.cost.skipped,
            "ms_per_sample": 1000 * self.cost.seconds / samples,
            "state_bytes": self.state_bytes,
            "graph_bytes": self.graph_bytes,
        }


def run_stream(
    adapter: Adapter,
    stream: Iterable[Any],
    *,
    clean: Sequence[Any] | None = None,
    reset: Literal["never", "domain"] | int = "never",
    device: Any = None,
    memory: bool = False,
) -> OnlineRun:
    """Let an adapter predict a stream, once and in order.

    Args:
        adapter: in the state from which to start; it is left as the stream leaves it.
        stream: batches (x, y, domains): inputs, B labels, B names.
        clean: batches of clean data, for forgetting.
        reset: "never" (continual), at each new "domain" (of a batch's first sample), or every so many batches.
        device: to move inputs to.
        memory: count what graphs save; slows the run, so that its times mean nothing.

    Raises:
        BadInput: an empty stream.
        ConfigError: reset out of range.
    """
    if isinstance(reset, int) and reset < 1:
        raise ConfigError(f"reset every 1 batch or more, got {reset!r}")
    start = replace(adapter.cost)
    before = None if clean is None else clean_error(adapter, clean, device)
    seen: list[tuple[int, float, bool, str]] = []
    saved, last, count = 0, "", 0
    began = time.perf_counter()
    for x, y, domains in stream:
        due = count and (domains[0] != last if reset == "domain" else isinstance(reset, int) and count % reset == 0)
        if due:
            adapter.reset()
        last, count = domains[0], count + 1
        with _Saved() if memory else nullcontext() as graph:
            logits = adapter(_move(x, device))
        saved = max(saved, graph.bytes if isinstance(graph, _Saved) else 0)
        tops = logits.float().softmax(1).nan_to_num(0.0).max(1)
        labels = y.tolist() if hasattr(y, "tolist") else list(y)
        seen += [
            (guess, min(1.0, sure), guess == label, domain)
            for guess, sure, label, domain in zip(
                tops.indices.tolist(), tops.values.tolist(), labels, domains, strict=True
            )
        ]
    if not seen:
        raise BadInput("the stream holds no sample")
    wall = time.perf_counter() - began  # the last batch's predictions have been read, so its work is done
    spent = adapter.cost.since(start)
    after = None if clean is None else clean_error(adapter, clean, device)
    predictions, confidences, right, names = zip(*seen, strict=True)
    return OnlineRun(
        predictions=predictions,
        confidences=confidences,
        right=right,
        domains=names,
        cost=spent,
        wall=wall,
        state_bytes=adapter.state_bytes(),
        graph_bytes=saved,
        clean_before=before,
        clean_after=after,
    )


def clean_error(adapter: Adapter, batches: Iterable[Any], device: Any = None) -> float:
    """Return the error of the frozen adapter on batches whose first two parts are inputs and labels.

    Raises:
        BadInput: no sample.
    """
    right: list[bool] = []
    with adapter.frozen():
        for x, y, *_ in batches:
            guesses = adapter(_move(x, device)).argmax(1).tolist()
            right += [guess == int(label) for guess, label in zip(guesses, y, strict=True)]
    error = error_rate(right)
    if error is None:
        raise BadInput("the clean data hold no sample")
    return error


class _Saved:
    """Counts the bytes that graphs built inside keep for their backward passes; a shared storage counts once."""

    def __init__(self) -> None:
        self.bytes = 0
        self._storages: set[int] = set()

    def __enter__(self) -> _Saved:
        import torch

        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor)
        self._hooks.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._hooks.__exit__(*failure)

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._storages:
            self._storages.add(storage.data_ptr())
            self.bytes += storage.nbytes()
        return tensor


def _move(x: Any, device: Any) -> Any:
    if device is None:
        return x
    return {name: part.to(device) for name, part in x.items()} if isinstance(x, Mapping) else x.to(device)

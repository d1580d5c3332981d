"""The contract of adaptation at test time, and the loop that all adapters share: predict a batch once, adapt, account.

Source: the wrapper idiom of Tent (Wang et al. 2021, arXiv:2006.10726) and what card 00 collects of its successors.
Differs: reset also restores the optimiser's and the method's own state; a model stays in evaluation mode, so that
dropout stays off; only what can change is copied, not the model; `restore` gives the model back as it came.
Cost: that of the method; the engine's own part is a few Python calls a batch. Needs: the extra `torch` once an adapter
is made; importing this file loads nothing.

How to write an adapter: a dataclass on `Adapter` (no gradients: memories, token condensation, merged models) or on
`GradientAdapter` (losses on chosen parameters) that overrides `_adapt`, and, where it has them, `_configure` (set-up),
`_tensors` (what of the model changes), `_memory` and `_remember` (its own state). `_forward` runs the model and counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ponder.core.errors import AccessDenied, BadInput, ConfigError
from ponder.core.registry import need
from ponder.engines.online_calls import (
    as_written,
    copied,
    hooks_in,
    in_32_bits,
    is_compiled,
    kind_of,
    plain_tensors,
    predict_with,
    rows_of,
    tensors_in,
)
from ponder.engines.online_cost import Cost
from ponder.engines.online_parameters import Undo, plain_name

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SCHEMA", "AccessLevel", "Adapter"]

AccessLevel = Literal["logits", "features", "attention", "weights", "gradients", "source_data"]
SCHEMA = 1
_INSIDE = frozenset({"features", "attention", "weights", "gradients"})


@dataclass(eq=False, repr=False)
class Adapter:
    """Calls a classifier and may adapt it; on its own, it only predicts.

    Called with a batch, `(B, ...)` or a mapping of tensors for models called by keywords, it returns logits `(B, C)`
    without a graph, in at least 32 bits. It works under `torch.no_grad` and `torch.inference_mode`, under autocast, on
    any device, on compiled models (without their speed where a method needs hooks), and in wrappers that call the model
    as it is called alone. It can be copied and pickled together with its model, so far as the model itself can.

    A model in training mode is put in evaluation mode when the adapter is made, and again where something else turns
    training on in between. One model bears one adapter at a time: `restore` it before the next, or put adapters in
    adapters.

    Attributes:
        model: a `torch.nn.Module` that returns logits (B, C), C >= 2, or an object with them as `.logits` or under
            "logits". It is changed in place. An adapter that needs logits only takes any callable.
        predict: logits of "before" the batch's update (one forward) or "after" it (one more).
        episodic: reset before each batch.
        access: what the method needs of the model or of its maker.
        evidence: what the last batch showed, by name; for reading only.
        cost: counters.
    """

    model: Any
    _: KW_ONLY
    predict: Literal["before", "after"] = "before"
    episodic: bool = False
    cost: Cost = field(init=False, default_factory=Cost)
    evidence: dict[str, Any] = field(init=False, default_factory=dict)

    access: ClassVar[frozenset[AccessLevel]] = frozenset({"logits"})
    tensors_only: ClassVar[bool] = False  # whether it cuts batches, though it needs logits only

    def __post_init__(self) -> None:
        torch = need("torch", extra="torch", feature="adaptation at test time")
        if not callable(self.model):
            raise BadInput(f"an adapter needs a model that can be called, got {type(self.model).__name__}")
        if self.predict not in ("before", "after"):
            raise ConfigError(f"predict must be before or after, got {self.predict!r}")
        inside = sorted(_INSIDE & self.access)
        if inside and not isinstance(self._module, torch.nn.Module):
            raise AccessDenied(
                f"{type(self).__name__} needs {', '.join(inside)} of the model: give a torch.nn.Module, "
                f"not a {type(self.model).__name__}"
            )
        self._is_frozen = self._stays_evaluated = False
        self._undo = Undo()
        self._look_inside()
        with plain_tensors():
            try:
                self._configure()
            except BaseException:
                self._undo.close()
                raise
            self._start = self._copies()
            self._fresh = copied(self._memory())

    def __call__(self, x: Any) -> Tensor:
        """Predict a batch and adapt to it.

        Raises:
            BadInput: an empty batch, or no batch at all.
        """
        self._refuse_odd(x)
        if self._stays_evaluated and self._module.training:  # a training loop has turned it on
            for module in self._module.modules():
                module.training = False
        if self._is_frozen:
            return in_32_bits(self._predict(x))
        began = time.perf_counter()
        with plain_tensors():
            if self.episodic:
                self.reset()
            logits = self._adapt(x)
            if self.predict == "after":
                logits = self._predict(x)
        self.cost.batches += 1
        self.cost.samples += rows_of(x)
        self.cost.seconds += time.perf_counter() - began
        return in_32_bits(logits.detach())

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that are plain values, by name."""
        plain = (bool, int, float, str, type(None))
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.init and f.name != "model"}
        return {name: value for name, value in found.items() if isinstance(value, plain)}

    def reset(self) -> None:
        """Bring model, optimiser and method back to how they were when the adapter was made, bit by bit."""
        with plain_tensors():
            self._write(self._start)
            self._remember(copied(self._fresh))
        self.evidence = {}

    def restore(self) -> None:
        """Give the model back as it came: values, buffers, modes, gradient flags, hooks. The adapter is then spent."""
        self.reset()
        self._undo.close()

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of all that adaptation has changed; counters of cost are not part of it."""
        with plain_tensors():
            state = {"schema": SCHEMA, "adapter": type(self).__name__, "tensors": self._copies()}
            return {**state, "memory": copied(self._memory())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, on the same kind of model.

        Raises:
            BadInput: of another adapter, another version or another model.
        """
        if state.get("schema") != SCHEMA or state.get("adapter") != type(self).__name__:
            raise BadInput(
                f"this is the state of {state.get('adapter')!r}, schema {state.get('schema')!r}: "
                f"{type(self).__name__} needs its own, schema {SCHEMA}"
            )
        tensors, ours = state["tensors"], self._tensors()
        if wrong := sorted(
            tensors.keys() ^ ours.keys()
            | {name for name in tensors.keys() & ours.keys() if kind_of(tensors[name]) != kind_of(ours[name])}
        ):
            raise BadInput(f"the state is of another model: {', '.join(wrong[:3])} do not fit")
        with plain_tensors():
            self._write(tensors)
            self._remember(copied(state["memory"]))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside, calls only predict: nothing adapts, nothing is remembered, nothing is counted."""
        cost, self.cost = self.cost, Cost()
        try:
            with self._held():
                yield
        finally:
            self.cost = cost

    @contextmanager
    def _held(self) -> Iterator[None]:
        """As `frozen`, but passes are counted."""
        before, self._is_frozen = self._is_frozen, True
        try:
            yield
        finally:
            self._is_frozen = before

    def source_logits(self, x: Any) -> Tensor:
        """Return what the model says as it was at the start, in the mode that the method set (a counted forward)."""
        with self._as_source():
            return self._predict(x)

    @contextmanager
    def _as_source(self) -> Iterator[None]:
        """Inside, predictions come from what was there at the start; a method that votes by memory sets it aside."""
        now = self._copies()
        self._write(self._start)
        try:
            yield
        finally:
            self._write(now)

    def state_bytes(self) -> int:
        """Return the bytes held beside the model: the copy for reset, and the method's own state twice (now, fresh)."""
        held = [*self._start.values(), *tensors_in(self._memory()), *tensors_in(self._fresh)]
        return sum(t.numel() * t.element_size() for t in held)

    # What methods override.

    def _configure(self) -> None:
        """Prepare the model; what is to be undone by `restore` goes on `self._undo`."""
        self._evaluate()

    def _adapt(self, x: Any) -> Tensor:
        """Predict a batch and adapt; return its logits from before the update."""
        return self._predict(x)

    def _tensors(self) -> dict[str, Tensor]:
        """Return the live tensors of the model that may change, by name; buffers by default."""
        module = self._module
        return {plain_name(n, module): t for n, t in module.named_buffers()} if hasattr(module, "named_buffers") else {}

    def _memory(self) -> dict[str, Any]:
        """Return the method's own state: tensors, numbers, and containers of them; whoever keeps it copies it."""
        return {}

    def _remember(self, memory: dict[str, Any]) -> None:
        """Take over what `_memory` returned; it belongs to the adapter then."""

    # What methods use.

    @property
    def _module(self) -> Any:
        """The model itself; of a model in adapters, the innermost one."""
        return self.model._module if isinstance(self.model, Adapter) else self.model

    def _evaluate(self) -> None:
        """Put every part of the model in evaluation mode, until `restore`."""
        if hasattr(self._module, "modules"):
            self._stays_evaluated = True
            for module in self._module.modules():
                if module.training:
                    module.training = False
                    self._undo.callback(setattr, module, "training", True)

    def _forward(self, x: Any) -> Tensor:
        """Run the model, with a graph if gradients are on; count and time it. Returns logits (B, C)."""
        began = time.perf_counter()
        with self._seen_by_hooks():
            logits = predict_with(self.model, x)
        if len(logits) != rows_of(x):
            raise BadInput(
                f"the model made {len(logits)} rows of logits from a batch of {rows_of(x)}: give one for each"
            )
        self.cost.pass_seconds += time.perf_counter() - began
        self.cost.forwards += 1
        self.cost.forward_samples += rows_of(x)
        return logits

    def _predict(self, x: Any) -> Tensor:
        """Run the model without a graph."""
        import torch

        with torch.no_grad():
            return self._forward(x)

    def _look_inside(self) -> None:
        """Note whether the model is compiled, and refuse one that is not there yet."""
        import torch

        module, self._hooks = self._module, 0
        self._is_compiled = False
        if not isinstance(module, torch.nn.Module):
            return
        if any(torch.nn.parameter.is_lazy(part) for part in (*module.parameters(), *module.buffers())):
            raise BadInput("the model has lazy layers without values: run it on one batch before you adapt it")
        self._hooks, self._is_compiled = hooks_in(module), is_compiled(module)

    def _seen_by_hooks(self) -> AbstractContextManager[None]:
        """Run a compiled model as it was written where hooks were set on it since."""
        return as_written() if self._is_compiled and hooks_in(self._module) != self._hooks else nullcontext()

    def _refuse_odd(self, x: Any) -> None:
        """Refuse what is no batch; where a module reads it, what is no tensor."""
        import torch

        if rows_of(x) < 1:
            raise BadInput("an empty batch: give at least one sample")
        parts = x.values() if isinstance(x, Mapping) else (x,)
        odd = [part for part in parts if not isinstance(part, torch.Tensor)]
        if odd and (self.tensors_only or _INSIDE & self.access):
            raise BadInput(f"a batch is a tensor (B, ...) or a mapping of them, got {type(odd[0]).__name__}")

    def _copies(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self._tensors().items()}

    def _write(self, values: Mapping[str, Tensor]) -> None:
        import torch

        with torch.no_grad():
            for name, tensor in self._tensors().items():
                tensor.copy_(values[name])

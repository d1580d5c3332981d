"""Which parameters of a model to adapt, and how its batch norms read their input.

Source: norm layers' scale and shift, Tent (arXiv:2006.10726); left-out top layers, SAR (arXiv:2302.12400, card 47).
Differs: every kind of norm layer is found, also a model's own class with "Norm" in its name; patterns match whole parts
of names, so that "layer4" does not match "layer40" (the released SAR rule does, see `released_sar_rule`).
Cost: one walk over the modules. Needs: the extra `torch`.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeAlias

from ponder.core.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from torch.nn import Module, Parameter

__all__ = [
    "Select",
    "Undo",
    "batch_norms",
    "claim",
    "freeze_except",
    "is_norm",
    "modules_by_name",
    "parameters_by_name",
    "plain_name",
    "released_sar_rule",
    "select_parameters",
    "top_norms",
    "use_batch_statistics",
]

Select: TypeAlias = "str | Sequence[str] | Callable[[str, Module], bool]"
logger = logging.getLogger(__name__)


class Undo:
    """Calls to make, last first, when a model is given back. A copy of it undoes what was done to the copied model."""

    def __init__(self) -> None:
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def callback(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Remember a call; what it works on is best given as an argument, so that copies are copied with it."""
        self._calls.append((function, arguments))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Let a copy take the copied model, as the first has taken its own."""
        vars(self).update(state)
        for function, arguments in self._calls:
            if function is _release:
                _CLAIMS[arguments[0]] = weakref.ref(self)

    def close(self) -> None:
        """Make the calls, once."""
        while self._calls:
            function, arguments = self._calls.pop()
            function(*arguments)


_CLAIMS: weakref.WeakKeyDictionary[Any, weakref.ref[Undo]] = weakref.WeakKeyDictionary()


def claim(model: Module, undo: Undo) -> None:
    """Take a model for one adapter that changes it, until `undo` is closed or gone.

    Raises:
        ConfigError: another one has it: neither could give the model back as it came.
    """
    inside = getattr(model, "_orig_mod", model)
    held = _CLAIMS.get(inside)
    if held is not None and held() not in (None, undo):
        raise ConfigError("an adapter works on this model already: call its restore() first, or adapt a copy")
    _CLAIMS[inside] = weakref.ref(undo)
    undo.callback(_release, inside)


def _release(model: Module) -> None:
    _CLAIMS.pop(model, None)


def plain_name(name: str, model: Module | None = None) -> str:
    """Return a module's, parameter's or buffer's name without what wrappers add: of torch.compile anywhere in it.

    With the model given, also what DataParallel and DistributedDataParallel around the whole of it add.
    """
    import torch

    parts = [part for part in name.split(".") if part != "_orig_mod"]
    inside = getattr(model, "_orig_mod", model)
    outer = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    return ".".join(parts[1:] if isinstance(inside, outer) and parts[:1] == ["module"] else parts)


def modules_by_name(model: Module) -> dict[str, Module]:
    """Return the modules of a model by their plain names; what wraps another is left out."""
    return {plain_name(name, model): module for name, module in model.named_modules()}  # the inner one comes later


def parameters_by_name(model: Module) -> dict[str, Parameter]:
    """Return the parameters of a model by their plain names; one that is shared comes once."""
    return {plain_name(name, model): parameter for name, parameter in model.named_parameters()}


def is_norm(module: Module) -> bool:
    """Return whether a module is a normalisation layer with a scale of its own."""
    import torch

    known = (torch.nn.modules.batchnorm._NormBase, torch.nn.LayerNorm, torch.nn.GroupNorm)
    named = isinstance(module, known) or "Norm" in type(module).__name__
    weight = getattr(module, "weight", None)
    return named and isinstance(weight, torch.nn.Parameter) and not any(module.children())


def select_parameters(
    model: Module, *, select: Select = "norm", exclude: str | Sequence[str] | Callable[[str], bool] = ()
) -> dict[str, Parameter]:
    """Return the parameters to adapt, by name, in the order of the model; one that is shared comes once.

    Args:
        model: any module.
        select: "norm" (weight and bias of every norm layer), "all", name patterns of modules ("blocks.*.norm1",
            "stem"; `*` stands for anything), or a function of a module's name and the module.
        exclude: patterns of modules to leave out together with what is in them; "top" for the norm layers of the last
            quarter; or a function of a module's name.

    Raises:
        BadInput: nothing is left to adapt.
    """
    names = [(plain_name(name, model), module) for name, module in model.named_modules()]
    top = top_norms(model) if exclude == "top" else frozenset()
    patterns = (exclude,) if isinstance(exclude, str) else exclude

    def wanted(name: str, module: Module) -> bool:
        if select == "norm":
            return is_norm(module)
        if select == "all":
            return True
        if callable(select):
            return bool(select(name, module))
        return any(_under(name, pattern) for pattern in ([select] if isinstance(select, str) else select))

    def left_out(name: str) -> bool:
        if callable(patterns):
            return bool(patterns(name))
        return name in top or any(_under(name, pattern) for pattern in patterns if pattern != "top")

    found: dict[str, Parameter] = {}
    seen: set[int] = set()
    for name, module in names:
        if wanted(name, module) and not left_out(name):
            for own, parameter in module.named_parameters(recurse=False):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    found[f"{name}.{own}" if name else own] = parameter
    if not found:
        raise BadInput(
            f"no parameter to adapt (select={select!r}, exclude={exclude!r}): the model has "
            f"{sum(is_norm(module) for _, module in names)} norm layers; choose others with select="
        )
    return found


def top_norms(model: Module, share: float = 0.25) -> frozenset[str]:
    """Return the names of the last norm layers of a model: `share` of them, rounded down, but never all.

    Deep layers are the more sensitive ones (card 47); this is the rule for models whose layers have other names.
    """
    names = [plain_name(name, model) for name, module in model.named_modules() if is_norm(module)]
    return frozenset(names[len(names) - int(share * len(names)) :])


def released_sar_rule(name: str) -> bool:
    """Return whether the released SAR code leaves a module out: plain substrings, made for ResNet and ViT-B of timm."""
    parts = ("layer4", "blocks.9", "blocks.10", "blocks.11", "norm.")
    return name == "norm" or any(part in name for part in parts)


def batch_norms(model: Module) -> Iterator[tuple[str, Module]]:
    """Yield the batch norms of a model with their names."""
    import torch

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            yield name, module


def use_batch_statistics(model: Module, undo: Undo) -> int:
    """Let every batch norm normalise by its own batch, in evaluation mode too; return how many there are."""
    count = 0
    for _, module in batch_norms(model):
        count += 1
        for name in ("running_mean", "running_var", "num_batches_tracked", "track_running_stats"):
            undo.callback(setattr, module, name, getattr(module, name))
        module.track_running_stats = False
        module.running_mean = module.running_var = module.num_batches_tracked = None
    return count


def freeze_except(model: Module, chosen: dict[str, Any], undo: Undo) -> None:
    """Turn gradients on for the chosen parameters and off for all others, until `undo` is closed.

    A chosen parameter in 16 bits is reported once: a step of less than 1/256 (bfloat16) or 1/2048 (float16) of its
    value rounds to none.

    Raises:
        ConfigError: a chosen parameter is not of floating point (a quantised model), or see `claim`.
    """
    claim(model, undo)
    ids = {id(parameter) for parameter in chosen.values()}
    if odd := [name for name, parameter in chosen.items() if not parameter.is_floating_point()]:
        raise ConfigError(f"{odd[0]} is not of floating point: a quantised parameter cannot be adapted")
    if coarse := [name for name, parameter in chosen.items() if parameter.element_size() < 4]:
        logger.warning(
            "%s is kept in %s, which loses steps below some thousandth of a weight: adapt a model in float32, under "
            "autocast where speed matters",
            coarse[0],
            chosen[coarse[0]].dtype,
        )
    for parameter in model.parameters():
        undo.callback(setattr, parameter, "requires_grad", parameter.requires_grad)
        undo.callback(setattr, parameter, "grad", parameter.grad)
        parameter.requires_grad_(id(parameter) in ids)
        parameter.grad = None


def _under(name: str, pattern: str) -> bool:
    """Whether a module, or one that it is in, matches a pattern."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))

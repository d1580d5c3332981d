"""What adapters are compared on: a model with its data, the user's or one that the project trains itself.

Source: our own. A user's module has a function without arguments; it returns a `Subject`, or a `torch.nn.Module` whose
data come from a file of arrays x, y (and, where there are any, domain, source_x, source_y, clean_x, clean_y).
Cost: reading; reference models are trained once, in a minute or two. Needs: the extra `torch`; numpy for files.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from ponder.bench.adapt_arrays import read_arrays
from ponder.bench.adapt_device import moved
from ponder.core.errors import BadInput, PonderError, UnknownName
from ponder.models.convert import cache_directory
from ponder.tasks.streams import Domain

__all__ = ["REFERENCES", "Subject", "Tell", "read_subject", "reference_subject"]

Tell: TypeAlias = Callable[[str], None]  # takes a line for people


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model and the data that shift under it.

    Attributes:
        name: for tables.
        model: a `torch.nn.Module`; each run adapts a copy of it, and it stays as it is.
        domains: labelled test data, one for each shift; labels are for scoring only.
        clean: labelled batches (x, y) of unshifted data, for forgetting; may be empty.
        source: labelled batches (x, y) of training data, for methods that need them; may be empty.
        given: what single methods need beside the model, by adapter and setting ("t3_merging.expert"), or by the
            setting alone for all that have it.
        moving: makers of domains that follow each other without a jump, by the stream's name: "gradual", "changing".
        recorded: (domain, row) of each sample in the order of the stream "recorded"; by default domain after domain.
        facts: how it came to be, for people.
    """

    name: str
    model: Any
    domains: tuple[Domain, ...]
    clean: Sequence[tuple[Any, Any]] = ()
    source: Sequence[tuple[Any, Any]] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    moving: Mapping[str, Callable[[], Sequence[Domain]]] = field(default_factory=dict)
    recorded: tuple[tuple[int, int], ...] = ()
    facts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.domains:
            raise BadInput(f"{self.name!r} has no test data: give at least one domain")

    @property
    def fitting(self) -> tuple[str, ...]:
        """Names of the adapters that something is given for, and for no others."""
        return tuple(dict.fromkeys(key.partition(".")[0] for key in self.given if "." in key))

    def fresh(self) -> Any:
        """Return a copy of the model."""
        return deepcopy(self.model)

    def on(self, device: Any) -> Subject:
        """Return it with its model, source data and what methods are given on a device; the model itself stays put."""
        made = self.model, dict(self.given)
        if {str(weight.device) for weight in self.model.parameters()} - {str(device)}:
            made = deepcopy(made)
        model, given = moved(made, device)
        return replace(self, model=model, given=given, source=moved(list(self.source), device))


def read_subject(spec: str, data: Path | None = None, *, tell: Tell | None = None) -> Subject:
    """Return what `module:function` makes, or a reference subject by its name.

    Args:
        spec: which.
        data: arrays for a model of the user's.
        tell: called with a line for people where making a reference model takes long.

    Raises:
        BadInput: the function cannot be found or fails, or returns neither a subject nor a model with data.
    """
    if ":" not in spec:
        if data is not None:
            raise BadInput(f"{spec!r} brings its own data: --data belongs to a model of yours, as MODULE:FUNCTION")
        return reference_subject(spec, tell=tell)
    made = _made(spec)
    if isinstance(made, Subject):
        if data is not None:
            raise BadInput(f"{spec} returns a Subject, which has its own data: leave --data out, or return the model")
        return made
    if not hasattr(made, "named_parameters"):
        raise BadInput(f"{spec} must return a Subject or a torch.nn.Module, not {type(made).__name__}")
    if data is None:
        raise BadInput(f"{spec} returns a model only: give its test data with --data FILE.npz")
    held = read_arrays(data, made)
    return Subject(
        name=spec,
        model=made,
        domains=held.domains,
        clean=held.clean,
        source=held.source,
        recorded=held.recorded,
        facts=held.facts,
    )


def _made(spec: str) -> Any:
    """Call a user's function."""
    module, _, name = spec.partition(":")
    if not module or not name:
        raise BadInput(f"a model of yours reads MODULE:FUNCTION, got {spec!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # a module beside the user
    try:
        make = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as err:
        raise BadInput(f"cannot find {spec!r}: {err} (modules are sought in {here} and among those installed)") from err
    except Exception as err:  # a user's module may raise anything
        raise BadInput(f"cannot import {module!r}: {type(err).__name__}: {err}") from err
    if not callable(make):
        raise BadInput(f"{spec} must be a function that returns a model, not {type(make).__name__}")
    try:
        return make()
    except PonderError:
        raise
    except Exception as err:
        raise BadInput(f"{spec}() failed, called without arguments: {type(err).__name__}: {err}") from err


def reference_subject(name: str, *, tell: Tell | None = None) -> Subject:
    """Return a small model that the project trains itself, with data that shift.

    Args:
        name: one of `REFERENCES`.
        tell: called with a line for people where making it takes long.

    Raises:
        UnknownName: there is none of this name.
        BadInput: the cache cannot be written.
    """
    if name not in REFERENCES:
        close = difflib.get_close_matches(name, REFERENCES, n=1, cutoff=0.5)
        near = f" Did you mean {close[0]!r}?" if close else ""
        raise UnknownName(
            f"no reference model is called {name!r}.{near} There are: {', '.join(REFERENCES)}; "
            "a model of yours reads MODULE:FUNCTION."
        )
    cache = cache_directory()
    try:
        cache.mkdir(parents=True, exist_ok=True)  # said before a minute of training
        return REFERENCES[name](tell)
    except OSError as err:
        raise BadInput(
            f"the cache {str(cache)!r} cannot be used ({err.strerror or err}): "
            "set PONDER_CACHE to a directory that can be written"
        ) from err


def _classifier(kind: Any, data: Any = "shapes", *, smoothing: float = 0.0) -> Callable[[Tell | None], Subject]:
    def make(_: Tell | None) -> Subject:
        from ponder.adapt._reference_models import reference_model
        from ponder.tasks.corruptions import corrupted_domains

        found = reference_model(kind, data, smoothing=smoothing)
        smoothed = f" with labels smoothed by {smoothing:g}" if smoothing else ""
        x, y = found.test.x[:600], found.test.y[:600]
        return Subject(
            name=f"{kind}{'' if data == 'shapes' else f'_{data}'}{'_smoothed' if smoothing else ''}",
            model=found.model,
            domains=tuple(corrupted_domains(x, y, _KINDS)),
            clean=found.clean()[:3],
            source=found.source(),
            moving=_moving(found.test.x, found.test.y),
            facts=(f"{kind} on {_DATA[data]}{smoothed}, clean accuracy {found.accuracy:.1%}",),
        )

    return make


def _moving(x: Any, y: Any, view: Callable[[Any], Any] = lambda x: x) -> dict[str, Callable[[], list[Domain]]]:
    """Return the makers of streams that move in small steps, of pictures as a model takes them."""

    def seen(domains: Sequence[Domain]) -> list[Domain]:
        return [Domain(name=d.name, x=view(d.x), y=d.y) for d in domains]

    def gradual() -> list[Domain]:
        from ponder.tasks.corruptions import gradual_domains

        return seen(gradual_domains(x, y, _KINDS))

    def changing() -> list[Domain]:
        from ponder.tasks.changing import changing_domains

        return seen(changing_domains(x, y, _KINDS))

    return {"gradual": gradual, "changing": changing}


def _experts(_: Tell | None) -> Subject:
    from ponder.adapt._reference_pairs import SEEN, two_experts
    from ponder.tasks.corruptions import corrupted_domains

    found = two_experts()
    x, y = found.test.x[:600], found.test.y[:600]
    home = Domain(name="home", x=found.at_home(x), y=y)
    return Subject(
        name="experts",
        model=found.model,
        domains=(home, *corrupted_domains(x, y, SEEN)),
        clean=[(found.at_home(part, seed=1), labels) for part, labels in found.clean()[:3]],
        source=found.source(),
        given={"t3_merging.expert": found.expert},
        moving=_moving(found.test.x, found.test.y),
        facts=(
            f"a generalist for many kinds of drawn shapes and the same net fine-tuned on noisy ones, their home: "
            f"{found.accuracy:.1%} and {found.expert_accuracy:.1%} right there",
        ),
    )


def _towers(_: Tell | None) -> Subject:
    from ponder.adapt._reference_pairs import two_towers
    from ponder.tasks.corruptions import corrupted_domains

    found = two_towers()
    x, y = found.test.x[:120], found.test.y[:120]
    shifted = [Domain(name=d.name, x=found.view(d.x), y=d.y) for d in corrupted_domains(x, y, _KINDS)]
    classifier = _zero_shot(found.model, found.classes)
    return Subject(
        name="two_towers",
        model=classifier,
        domains=tuple(shifted),
        clean=[(found.view(px), py) for px, py in found.clean(batch=120)[:1]],
        source=[(found.view(px), py) for px, py in found.source(600)],
        given={"token_condensation.classes": found.classes},
        moving=_moving(found.test.x[:300], found.test.y[:300], found.view),
        facts=(f"a two-tower model on drawn shapes, clean zero-shot accuracy {found.accuracy:.1%}",),
    )


def _signals(tell: Tell | None) -> Subject:
    from ponder.bench._adapt_signals import (
        SHIFTS,
        ZeroShotSignals,
        prompts_of,
        shift_signals,
        single_labels,
        two_signal_towers,
    )

    found = two_signal_towers(tell=tell)
    x, y = single_labels(found.unseen)
    learnt, labels = single_labels(found.learnt)
    bare, rich = (prompts_of(found.towers, enriched=enriched) for enriched in (False, True))
    return Subject(
        name="ecg",
        model=ZeroShotSignals(found.towers, bare),
        domains=tuple(Domain(name=kind, x=shift_signals(x, kind), y=y) for kind in SHIFTS),
        clean=[(x, y)],
        source=list(zip(learnt.split(64), labels.split(64), strict=True)),
        given={"merl.classes": rich, "merl.encoder": "towers", "adanpc.head": "towers.signal_map"},
        facts=(
            "two towers on electrocardiograms simulated by neurokit2 (no patient's) and their reports; source: prompts "
            "of bare names; merl: prompts with the phrases of the vocabulary; one condition a record",
        ),
    )


def _zero_shot(model: Any, classes: Any) -> Any:
    """Return the two-tower model as a classifier whose parts token condensation still finds."""
    import torch

    class ZeroShot(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.vision_model, self.visual_projection = model.vision_model, model.visual_projection
            self.logit_scale = model.logit_scale
            self.register_buffer("classes", classes)

        def forward(self, pixel_values: Any) -> Any:
            features = self.visual_projection(self.vision_model(pixel_values=pixel_values).pooler_output)
            return self.logit_scale.exp() * torch.nn.functional.normalize(features, dim=-1) @ self.classes.T

    return ZeroShot().eval()


_KINDS = ("gaussian_noise", "defocus_blur", "fog", "contrast", "pixelate")
_DATA = {"shapes": "drawn shapes", "digits": "the digits of scikit-learn"}
REFERENCES: Mapping[str, Callable[[Tell | None], Subject]] = {
    "conv_bn": _classifier("conv_bn"),
    "conv_gn": _classifier("conv_gn"),
    "vit_ln": _classifier("vit_ln"),
    "vit_ln_smoothed": _classifier("vit_ln", smoothing=0.1),
    "conv_bn_digits": _classifier("conv_bn", "digits"),
    "conv_gn_digits": _classifier("conv_gn", "digits"),
    "vit_ln_digits": _classifier("vit_ln", "digits"),
    "experts": _experts,
    "two_towers": _towers,
    "ecg": _signals,
}

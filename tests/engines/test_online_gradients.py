"""Adapters by gradients under autocast, inside compiled models, and what their counters say of real passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ponder import adapt
from ponder.core.errors import ConfigError

pytestmark = pytest.mark.torch
KINDS = ("source", "tent", "eta", "eata", "sar", "guard")


def make(kind: str, model: Any, **more: Any) -> Any:
    """Build an adapter whose filters let most samples of the toy stream through."""
    from tests.adapt.networks import batches

    if kind == "source":
        return adapt.Source(model)
    if kind == "guard":
        return adapt.Guard(adapt.Tent(model, lr=0.05, **more), every=2)
    if kind == "sar":
        return adapt.SAR(model, lr=0.05, margin=1.35, reset_below=None, exclude=(), **more)
    if kind == "tent":
        return adapt.Tent(model, lr=0.05, **more)
    wide: dict[str, Any] = {"lr": 0.05, "margin": 1.35, "similarity": 0.99, **more}
    return adapt.ETA(model, **wide) if kind == "eta" else adapt.EATA(model, source=batches(seed=7), **wide)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("predict", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_counters_are_those_of_real_passes(kind: str, predict: str, steps: int) -> None:
    """Passes are counted by hooks on the model: rows that went in, and rows whose gradients came back."""
    from tests.adapt.networks import batches, mlp

    if kind == "source" and (predict, steps) != ("before", 1):
        pytest.skip("exempt: it has no such settings")
    model = mlp("layer")
    more = {} if kind == "source" else {"predict": predict, "steps": steps}
    adapter = make(kind, model, **more)
    forwards: list[int] = []
    backwards: list[int] = []

    def seen(part: Any, inputs: Any, out: Any) -> None:
        forwards.append(len(out))
        if out.requires_grad:
            out.register_hook(lambda gradient: backwards.append(len(gradient)))

    handle = model.register_forward_hook(seen)
    for x in batches(6, 8):
        adapter(x)
    handle.remove()
    cost = adapter.cost
    assert (cost.forwards, cost.forward_samples) == (len(forwards), sum(forwards))
    assert (cost.backwards, cost.backward_samples) == (len(backwards), sum(backwards))
    assert (cost.backwards > 0) is (kind != "source")
    assert cost.seconds >= cost.pass_seconds + cost.step_seconds


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_keeps_weights_and_logits_in_32_bits(kind: str) -> None:
    import torch

    from tests.adapt.networks import batches, mlp

    plain, cast = make(kind, mlp("layer")), make(kind, mlp("layer"))
    for x in batches(4, 8):
        wanted = plain(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = cast(x)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()
        assert logits.allclose(wanted, atol=0.1)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in cast._module.parameters())
    if kind != "source":
        assert cast.cost.updates == plain.cost.updates > 0


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_models_adapt_as_plain_ones(kind: str, backend: str) -> None:
    import torch

    from tests.adapt.networks import batches, mlp

    torch._dynamo.reset()
    plain, compiled = make(kind, mlp("layer")), make(kind, torch.compile(mlp("layer"), backend=backend))
    for x in batches(4, 8):
        assert compiled(x).allclose(plain(x), atol=1e-5)
    compiled.reset()
    plain.reset()
    x = batches()[0]
    assert compiled(x).allclose(plain(x), atol=1e-5)


# torch's own inductor imports what torch itself has deprecated.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.slow
def test_the_default_compiler_adapts_as_plain_models() -> None:
    import shutil

    import torch

    from tests.adapt.networks import batches, mlp

    if not any(map(shutil.which, ("g++", "c++", "clang++"))):
        pytest.skip("the default backend of torch.compile needs a C++ compiler")
    torch._dynamo.reset()
    plain, compiled = make("eata", mlp("layer")), make("eata", torch.compile(mlp("layer")))
    for x in batches(4, 8):
        assert compiled(x).allclose(plain(x), atol=1e-5)
    assert compiled.cost.updates == plain.cost.updates > 0


def test_entropy_where_classes_are_shut_out_is_that_of_the_others() -> None:
    import torch

    from ponder.engines.online_gradients import entropies

    logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    shut = logits.masked_fill(torch.tensor([False, True, False, False]), -torch.inf)
    found = entropies(shut)
    wanted = entropies(logits[:, [0, 2, 3]])
    assert torch.allclose(found, wanted)
    ours, theirs = (torch.autograd.grad(part.sum(), logits)[0] for part in (found, wanted))
    assert torch.allclose(ours, theirs)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_model_that_shuts_classes_out_is_adapted(kind: str) -> None:
    import torch

    from tests.adapt.networks import CLASSES, batches, mlp

    class Shut(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inside = mlp("layer")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inside(x).masked_fill(torch.arange(CLASSES) == 1, -torch.inf)

    adapter = make(kind, Shut())
    if kind == "eata":  # the source of the helper goes through the same model
        assert all(bool(part.isfinite().all()) for part in adapter.importance.values())
    for x in batches():
        logits = adapter(x)
        assert bool((logits[:, 1] == -torch.inf).all())
    assert adapter.cost.updates > 0
    assert adapter.cost.skipped == 0
    assert all(bool(p.isfinite().all()) for p in adapter._module.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_batches_by_name_of_any_mapping_are_taken(kind: str) -> None:
    """As the processors of transformers return them, made in inference mode."""
    from collections import UserDict

    import torch

    from tests.adapt.networks import batches, mlp

    class Named(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inside = mlp("layer")

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return self.inside(pixel_values)

    with torch.inference_mode():
        named = [UserDict(pixel_values=x.clone()) for x in batches()]
    if kind == "eata":
        source = [{"pixel_values": x} for x in batches(seed=7)]
        adapter: Any = adapt.EATA(Named(), source=source, lr=0.05, margin=1.35, similarity=0.99)
    else:
        adapter = make(kind, Named())
    plain = make(kind, mlp("layer"))
    for words, x in zip(named, batches(), strict=True):
        assert torch.allclose(adapter(words), plain(x), atol=1e-6)


def test_a_model_in_distributed_data_parallel_is_refused_with_what_to_do(tmp_path: Path) -> None:
    import torch

    from tests.adapt.networks import batches, mlp

    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        wrapped = torch.nn.parallel.DistributedDataParallel(mlp())
        with pytest.raises(ConfigError, match=r"\.module"):
            adapt.Tent(wrapped)
        assert all(p.requires_grad for p in wrapped.parameters())
        adapt.Tent(wrapped.module)(batches()[0])
    finally:
        torch.distributed.destroy_process_group()

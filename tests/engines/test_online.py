"""The contract of adapters: counting, resetting, saving, freezing, giving the model back; selectors; heads."""

from __future__ import annotations

import subprocess
import sys
from copy import deepcopy
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ponder import adapt
from ponder.core.errors import AccessDenied, BadInput, ConfigError

pytestmark = pytest.mark.torch


def toys() -> Any:
    from tests.adapt import networks

    return networks


def copy_of(model: Any) -> dict[str, Any]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_importing_adapters_loads_no_torch() -> None:
    probe = "import sys; from ponder import adapt; adapt.EATA; adapt.make_stream; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_bare_adapter_predicts_what_the_model_says() -> None:
    model = toys().mlp()
    adapter = adapt.Adapter(model)
    for x in toys().batches():
        assert adapter(x).equal(model(x).detach())
    assert (adapter.cost.batches, adapter.cost.samples, adapter.cost.forward_samples) == (4, 32, 32)
    assert (adapter.cost.backwards, adapter.cost.updates) == (0, 0)
    assert adapter.cost.seconds >= adapter.cost.pass_seconds > 0


def test_logits_only_needs_no_module() -> None:
    x = toys().batches()[0]
    assert adapt.Source(lambda x: x[:, :3])(x).shape == (8, 3)
    with pytest.raises(AccessDenied, match="gradients"):
        adapt.Tent(lambda x: x)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda net: adapt.Source(3), BadInput, "can be called"),
        (lambda net: adapt.Source(net, predict=cast(Any, "never")), ConfigError, "before or after"),
        (lambda net: adapt.Tent(net, lr=-1), ConfigError, "lr >= 0"),
        (lambda net: adapt.Tent(net, steps=-1), ConfigError, "steps"),
        (lambda net: adapt.Tent(net, optimizer="lion"), ConfigError, "sgd, adam"),
        (lambda net: adapt.Tent(net, select="nowhere"), BadInput, "no parameter to adapt"),
        (lambda net: adapt.Guard(adapt.Tent(net), predict="after"), ConfigError, "adapter inside"),
    ],
)
def test_wrong_settings_are_refused(build: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        build(toys().mlp())


def test_what_is_no_matrix_of_logits_is_refused() -> None:
    with pytest.raises(BadInput, match="logits"):
        adapt.Source(lambda x: x[0])(toys().batches()[0])
    with pytest.raises(BadInput, match="empty batch"):
        adapt.Source(toys().mlp())(toys().batches()[0][:0])


def test_a_model_that_failed_to_be_configured_is_left_as_it_came() -> None:
    model = toys().mlp("none")
    with pytest.raises(BadInput):
        adapt.Tent(model)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_reset_brings_back_model_optimizer_and_method_bit_by_bit(optimizer: str) -> None:
    model = toys().mlp()
    adapter = adapt.Tent(model, lr=0.1, optimizer=optimizer)
    before = copy_of(model)
    first = [adapter(x) for x in toys().batches()]
    assert not toys().same_state(before, model.state_dict())
    adapter.reset()
    assert toys().same_state(before, model.state_dict())
    assert all(a.equal(b) for a, b in zip(first, map(adapter, toys().batches()), strict=True))
    assert adapter.cost.samples == 64, "a reset does not clear what was spent"


def test_saved_state_continues_as_if_nothing_had_happened() -> None:
    one, two, three, four = toys().batches()
    adapter = adapt.Tent(toys().mlp(), lr=0.1)
    adapter(one), adapter(two)
    saved = adapter.state_dict()
    wanted = [adapter(three), adapter(four)]
    other = adapt.Tent(toys().mlp(), lr=0.1)
    other.load_state_dict(saved)
    assert all(a.equal(b) for a, b in zip(wanted, [other(three), other(four)], strict=True))
    other.load_state_dict(saved)  # what was loaded is not changed by what came after
    assert other(three).equal(wanted[0])


def test_state_of_something_else_is_refused() -> None:
    adapter = adapt.Tent(toys().mlp())
    with pytest.raises(BadInput, match="'ETA'"):
        adapter.load_state_dict(adapt.ETA(toys().mlp()).state_dict())
    with pytest.raises(BadInput, match="another model"):
        adapter.load_state_dict(adapt.Tent(toys().ConvToy()).state_dict())
    with pytest.raises(BadInput, match="schema"):
        adapter.load_state_dict({**adapter.state_dict(), "schema": 0})


def test_frozen_calls_change_and_count_nothing() -> None:
    model = toys().mlp()
    adapter = adapt.ETA(model, lr=0.1, margin=9.0, similarity=2.0)
    adapter(toys().batches()[0])
    state, cost = deepcopy(adapter.state_dict()), deepcopy(adapter.cost)
    with adapter.frozen():
        assert adapter(toys().batches()[1]).equal(model(toys().batches()[1]).detach())
    assert adapter.cost == cost
    assert toys().same_state(state["tensors"], adapter.state_dict()["tensors"])
    assert adapter.state_dict()["memory"]["selected"] == state["memory"]["selected"]
    before = adapter.cost.updates
    adapter(toys().batches()[1])
    assert adapter.cost.updates == before + 1


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_restore_gives_the_model_back_as_it_came(norm: str) -> None:
    model = toys().mlp(norm, dropout=0.5)
    model[0].weight.requires_grad_(False)
    before, training = copy_of(model), [m.training for m in model.modules()]
    adapter = adapt.LabelShift(adapt.Tent(model, lr=0.1), source_prior=[0.4, 0.3, 0.2, 0.1], correction="posthoc")
    for x in toys().batches():
        adapter(x)
    adapter.restore()
    assert toys().same_state(before, model.state_dict())
    assert [m.training for m in model.modules()] == training
    assert [p.requires_grad for p in model.parameters()] == [False, *[True] * (len(list(model.parameters())) - 1)]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_predictions_before_and_after_the_update() -> None:
    x = toys().batches()[0]
    source = toys().mlp().eval()(x).detach()
    before, after = (adapt.Tent(toys().mlp(), lr=0.5, predict=when) for when in ("before", "after"))
    assert before(x).equal(source)
    late = after(x)
    assert not late.equal(source)
    assert late.equal(before.model(x).detach()), "after the update the model gives these logits"
    assert (before.cost.forwards, after.cost.forwards) == (1, 2)


def test_no_steps_is_the_source_and_episodic_forgets_the_order() -> None:
    model = toys().mlp()
    idle = adapt.Tent(toys().mlp(), steps=0, lr=1.0)
    episodic = adapt.Tent(toys().mlp(), episodic=True, lr=0.5, predict="after")
    there = [episodic(x) for x in toys().batches()]
    back = [episodic(x) for x in toys().batches()[::-1]][::-1]
    assert all(a.equal(b) for a, b in zip(there, back, strict=True))
    for x in toys().batches():
        assert idle(x).equal(model.eval()(x).detach())


def test_only_the_chosen_parameters_move() -> None:
    model = toys().mlp()
    before = copy_of(model)
    adapter = adapt.Tent(model, lr=0.5)
    for x in toys().batches():
        adapter(x)
    moved = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert moved == {"1.weight", "1.bias", "5.weight", "5.bias"} == set(adapter.parameters)


def test_a_loss_that_is_not_finite_makes_no_step() -> None:
    model = toys().mlp()
    adapter = adapt.Tent(model, lr=0.1)
    before = copy_of(model)
    bad = toys().batches()[0]
    bad[0, 0] = float("nan")
    adapter(bad)
    assert toys().same_state(before, model.state_dict())
    assert (adapter.cost.skipped, adapter.cost.updates) == (1, 0)


def test_it_adapts_under_no_grad_inference_mode_and_autocast() -> None:
    import torch

    wanted = adapt.Tent(toys().mlp(), lr=0.1)
    for x in toys().batches():
        wanted(x)
    for mode in (torch.no_grad, torch.inference_mode):
        adapter = adapt.Tent(toys().mlp(), lr=0.1)
        with mode():
            logits = [adapter(2 * x / 2) for x in toys().batches()]
        assert not logits[-1].requires_grad
        assert toys().same_state(wanted.model.state_dict(), adapter.model.state_dict())
    half = adapt.Tent(toys().mlp(), lr=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = [half(x) for x in toys().batches()]
    assert low[0].dtype == torch.float32
    assert half.cost.updates == 4
    assert low[-1].allclose(wanted.model(toys().batches()[-1]), atol=0.5)


def test_a_compiled_model_adapts_like_the_plain_one() -> None:
    import torch

    plain, compiled = (adapt.Tent(net, lr=0.1) for net in (toys().mlp(), torch.compile(toys().mlp(), backend="eager")))
    assert list(plain.parameters) == list(compiled.parameters)
    for x in toys().batches():
        assert compiled(x).allclose(plain(x), atol=1e-6)


def test_models_called_by_keywords_and_with_named_outputs() -> None:
    net = toys().mlp().eval()

    import torch

    class Wrapped(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, *, pixel_values: Any) -> Any:
            return SimpleNamespace(logits=self.net(pixel_values))

    x = toys().batches()[0]
    wanted = net(x).detach()
    assert adapt.Source(Wrapped())({"pixel_values": x}).equal(wanted)
    adapter = adapt.ETA(Wrapped(), margin=9.0)
    assert adapter({"pixel_values": x}).equal(wanted)
    assert adapter.cost.updates == 1


def test_single_rows_in_flat_batch_norms_are_refused_with_advice() -> None:
    adapter = adapt.Tent(toys().mlp("batch"))
    with pytest.raises(BadInput, match="batch_statistics=False"):
        adapter(toys().batches(size=1)[0])
    assert adapt.Tent(toys().mlp("batch"), batch_statistics=False)(toys().batches(size=1)[0]).shape == (1, 4)


def test_selectors_by_kind_pattern_and_function() -> None:
    import torch

    net = toys().mlp()
    assert list(adapt.select_parameters(net)) == ["1.weight", "1.bias", "5.weight", "5.bias"]
    assert list(adapt.select_parameters(net, exclude="5")) == ["1.weight", "1.bias"]
    assert list(adapt.select_parameters(net, exclude=lambda name: name == "1")) == ["5.weight", "5.bias"]
    assert list(adapt.select_parameters(net, select=["0", "7"])) == ["0.weight", "0.bias", "7.weight", "7.bias"]
    assert len(adapt.select_parameters(net, select="all")) == len(list(net.parameters()))
    chosen = adapt.select_parameters(net, select=lambda name, module: isinstance(module, torch.nn.Linear))
    assert len(chosen) == 6
    named = torch.nn.ModuleDict({"layer4": torch.nn.LayerNorm(2), "layer40": torch.nn.LayerNorm(2)})
    assert list(adapt.select_parameters(named, exclude="layer4")) == ["layer40.weight", "layer40.bias"]


def test_top_leaves_out_the_last_quarter_of_the_norms() -> None:
    import torch

    from ponder.engines.online_parameters import top_norms

    net = torch.nn.Sequential(*(torch.nn.LayerNorm(2) for _ in range(8)))
    assert top_norms(net) == {"6", "7"}
    assert top_norms(toys().mlp()) == frozenset(), "two norms are too few to leave one out"


def test_a_shared_parameter_comes_once_and_a_foreign_norm_is_found() -> None:
    import torch

    class RootMeanSquareNorm(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

    norm = RootMeanSquareNorm()
    net = torch.nn.ModuleDict({"a": norm, "b": norm, "c": RootMeanSquareNorm()})
    net["c"].weight = norm.weight
    assert list(adapt.select_parameters(net)) == ["a.weight"]


def test_head_is_the_last_linear_layer_or_the_one_named() -> None:
    import torch

    from ponder.engines.online_heads import HeadTap, find_head

    net = toys().mlp()
    assert find_head(net)[0] == "7"
    assert find_head(net, "4")[0] == "4"
    with pytest.raises(BadInput, match="no linear layer"):
        find_head(net, "5")
    with pytest.raises(AccessDenied):
        find_head(torch.nn.ReLU())
    tap = HeadTap(net)
    x = toys().batches()[0]
    logits = net(x)
    assert tap.features is not None
    assert tap.features.shape == (8, 16)
    assert logits.equal(tap.logits)
    tap.rewrite = lambda h, z: 2 * z
    assert net(x).equal(2 * logits)
    tap.close()
    assert net(x).equal(logits)


def test_the_source_is_what_the_model_said_at_the_start() -> None:
    model = toys().mlp().eval()
    x = toys().batches()[0]
    wanted = model(x).detach()
    adapter = adapt.Tent(model, lr=0.5)
    adapter(x)
    moved = copy_of(model)
    assert adapter.source_logits(x).equal(wanted)
    assert toys().same_state(moved, model.state_dict())


def test_settings_are_plain_values() -> None:
    settings = adapt.ETA(toys().mlp(), lr=0.5).settings
    assert settings["lr"] == 0.5
    assert "model" not in settings


def test_state_bytes_count_the_copy_for_reset() -> None:
    assert adapt.Tent(toys().mlp()).state_bytes() == 4 * 16 * 4


def labelled() -> list[Any]:
    import torch

    return [(x, torch.arange(8) % 4) for x in toys().batches(seed=5)]


def nests() -> dict[str, Any]:
    net = toys().mlp
    return {
        "guard of label shift of EATA": lambda: adapt.Guard(
            adapt.LabelShift(adapt.EATA(net(), lr=0.05, source=labelled()), source=labelled(), training=20)
        ),
        "window of guard": lambda: adapt.SlidingWindow(adapt.Guard(adapt.Tent(net(), lr=0.5)), window=12),
        "adam": lambda: adapt.Tent(net(), lr=0.05, optimizer="adam"),
        "batch norm": lambda: adapt.BatchNorm(toys().mlp("batch")),
    }


@pytest.mark.parametrize("kind", ["guard of label shift of EATA", "window of guard", "adam", "batch norm"])
@pytest.mark.parametrize("way", ["file", "copy", "pickle", "inference"])
def test_nests_continue_from_files_copies_and_pickles_bit_by_bit(kind: str, way: str) -> None:
    import io
    import pickle

    import torch

    make = nests()[kind]
    first, xs = make(), toys().batches(10)
    if way == "inference":
        with torch.inference_mode():
            for x in toys().batches(10)[:5]:
                first(x)
            state = first.state_dict()
    else:
        for x in xs[:5]:
            first(x)
        state = first.state_dict()
    if way == "copy":
        second = deepcopy(first)
    elif way == "pickle":
        second = pickle.loads(pickle.dumps(first))
    else:
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        second = make()
        second.load_state_dict(torch.load(file, weights_only=True))
    assert second._module is not first._module
    assert all(first(x).equal(second(x)) for x in xs[5:])
    before, training = copy_of(first._module), [m.training for m in first._module.modules()]
    second.restore()
    assert toys().same_state(before, first._module.state_dict()), "a copy undoes nothing in the first"
    assert [m.training for m in first._module.modules()] == training
    assert all(m.training for m in second._module.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in second._module.modules())


@pytest.mark.parametrize(("kind", "select"), [("tent", "all"), ("eta", "all")])
def test_a_stream_in_one_autocast_region_uses_no_old_casts(kind: str, select: str) -> None:
    import torch

    def make() -> Any:
        more = {"margin": 9.0, "similarity": 2.0} if kind == "eta" else {}
        return {"tent": adapt.Tent, "eta": adapt.ETA}[kind](toys().mlp(), lr=0.1, select=select, **more)

    one, each = make(), make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        together = [one(x) for x in toys().batches()]
    for x, logits in zip(toys().batches(), together, strict=True):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert each(x).equal(logits)


def test_hooks_are_seen_by_a_compiled_model_that_has_run_before() -> None:
    import torch

    x = toys().batches(1, 8, shape=(3, 6, 6))[0]
    torch._dynamo.reset()
    compiled = torch.compile(toys().ConvToy().eval(), backend="eager")
    with torch.no_grad():
        compiled(x)
    assert adapt.BatchNorm(compiled)(x).allclose(adapt.BatchNorm(toys().ConvToy())(x), atol=1e-6)


def test_state_of_a_compiled_model_fits_the_plain_one() -> None:
    import torch

    plain = adapt.Tent(toys().ConvToy(), batch_statistics=False)
    compiled = adapt.Tent(torch.compile(toys().ConvToy(), backend="eager"), batch_statistics=False)
    plain.load_state_dict(compiled.state_dict())
    low = plain.state_dict()
    low["tensors"] = {name: tensor.double() for name, tensor in low["tensors"].items()}
    with pytest.raises(BadInput, match="another model"):
        plain.load_state_dict(low)


@pytest.mark.parametrize("bad", [3, None, [[0.0] * 8], {"x": 3}, "words"])
@pytest.mark.parametrize("kind", [adapt.Tent, adapt.SlidingWindow])
def test_what_is_no_batch_of_tensors_is_refused(kind: Any, bad: Any) -> None:
    with pytest.raises(BadInput, match="a batch is a tensor"):
        kind(toys().mlp())(bad)


def test_one_logit_lazy_layers_and_lost_rows_are_refused_with_advice() -> None:
    import torch

    x = toys().batches()[0]
    with pytest.raises(BadInput, match="give two"):
        adapt.Source(lambda x: x[:, :1])(x)
    with pytest.raises(BadInput, match="3 rows of logits from a batch of 8"):
        adapt.Source(lambda x: x[:3])(x)
    with pytest.raises(BadInput, match="run it on one batch"):
        adapt.Tent(torch.nn.Sequential(torch.nn.LazyLinear(8), torch.nn.LayerNorm(8)))
    assert adapt.Source(lambda x: {"logits": x})(x).equal(x)


def test_training_mode_that_a_loop_turns_on_is_turned_off_again() -> None:
    model = toys().mlp(dropout=0.9).eval()
    adapter = adapt.Source(model)
    x = toys().batches()[0]
    wanted = adapter(x)
    model.train()
    assert adapter(x).equal(wanted)
    adapter.restore()
    assert not model.training


def test_a_model_bears_one_adapter_that_changes_it() -> None:
    model = toys().mlp("batch")
    first = adapt.Tent(model)
    with pytest.raises(ConfigError, match="restore"):
        adapt.BatchNorm(model)
    first.restore()
    second = adapt.BatchNorm(model)
    second.restore()
    assert model.training


@pytest.mark.parametrize("way", ["copy", "pickle"])
def test_a_copy_bears_the_copied_model(way: str) -> None:
    import pickle

    first = adapt.Tent(toys().mlp())
    other = deepcopy(first) if way == "copy" else pickle.loads(pickle.dumps(first))
    with pytest.raises(ConfigError, match="restore"):
        adapt.Tent(other.model)
    other.restore()
    adapt.Tent(other.model).restore()
    with pytest.raises(ConfigError, match="restore"):
        adapt.Tent(first.model)


def test_a_plugin_on_a_plain_model_takes_no_settings_of_the_adapter_inside() -> None:
    with pytest.raises(ConfigError, match="adapter inside"):
        adapt.SlidingWindow(toys().mlp(), episodic=True)
    model = toys().mlp()
    with pytest.raises(BadInput):
        adapt.LabelShift(model, source_prior=[1.0], correction="posthoc")
    assert model.training, "a plug-in that failed leaves the model as it came"


def test_patterns_name_the_model_inside_a_data_parallel_one() -> None:
    import torch

    names = list(adapt.select_parameters(torch.nn.DataParallel(toys().mlp()), select="1"))
    assert names == ["1.weight", "1.bias"]
    assert list(adapt.select_parameters(torch.nn.ModuleDict({"module": toys().mlp()}), select="module.1")) == [
        "module.1.weight",
        "module.1.bias",
    ]


def test_parameters_in_16_bits_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    adapt.Tent(toys().mlp().bfloat16())
    assert "autocast" in caplog.text


def test_norms_that_came_without_statistics_tie_rows_together() -> None:
    """Else ETA would run the chosen rows alone, under other statistics, and call it the same numbers."""
    import torch

    def net() -> Any:
        model = toys().mlp("batch")
        for at in (1, 5):
            model[at] = torch.nn.BatchNorm1d(16, track_running_stats=False)
        return model

    auto, masked = (
        adapt.ETA(net(), lr=0.1, similarity=2.0, margin=1.0, batch_statistics=False, backward=way)
        for way in ("auto", "masked")
    )
    for x in toys().batches(size=16):
        assert auto(x).equal(masked(x))
    assert 0 < auto.selected < 64
    with pytest.raises(BadInput, match="one sample"):
        auto(toys().batches(size=1)[0])

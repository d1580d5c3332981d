"""T3: limits, three ways of merging per sample that agree, batches and mixtures, and what cannot be merged."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from ponder.core.errors import BadInput, ConfigError

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.torch


def merging(first: Any, second: Any, **settings: Any) -> Any:
    from ponder.adapt.t3_merging import T3Merging

    return T3Merging(first, expert=second, **settings)


class Mixed(nn.Module):  # type: ignore[misc, name-defined]
    """Every kind of layer that "mix" knows, with a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.group, self.layer = nn.GroupNorm(2, 4), nn.LayerNorm(16)
        self.places, self.head = nn.Embedding(16, 4), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        h = self.layer(self.group(torch.relu(self.norm(self.conv(x)))).flatten(2)).transpose(1, 2)
        return self.head(torch.tanh(h + self.places(torch.arange(16)[None])).mean(1))


class Attending(nn.Module):  # type: ignore[misc, name-defined]
    """Packed attention, and a bare parameter whose place "mix" does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.rand(4))
        self.attention, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        h = x.flatten(2).transpose(1, 2) * self.scale
        return self.head(self.attention(h, h, h, need_weights=False)[0].mean(1))


class Seeing(nn.Module):  # type: ignore[misc, name-defined]
    """Attention of every call that "mix" knows, and positions as a bare parameter."""

    def __init__(self, first: bool = True, bias: bool = True) -> None:
        super().__init__()
        self.first = first
        self.places = nn.Parameter(torch.rand(1, 16, 4))
        self.plain, self.crossed, self.masked = (
            nn.MultiheadAttention(4, 2, batch_first=first, bias=bias) for _ in range(3)
        )
        self.layer, self.head = nn.LayerNorm(4, bias=bias), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        h = self.layer(x.flatten(2).transpose(1, 2) + self.places)
        h = h if self.first else h.transpose(0, 1)
        h = h + self.plain(h, h, h, need_weights=False)[0]
        found, shares = self.crossed(h, h.flip(1 if self.first else 0), h)
        h = h + found
        later = torch.ones(16, 16, dtype=torch.bool).triu(1)
        h = h + self.masked(h, h, h, attn_mask=later, need_weights=False)[0]
        return self.head(h.mean(1 if self.first else 0)) + shares.square().sum((1, 2))[:, None] * torch.arange(3)


class Padded(Seeing):
    """Attention that leaves places out."""

    def forward(self, x: Any) -> Any:
        h = x.flatten(2).transpose(1, 2) + self.places
        out = torch.arange(16).expand(len(x), 16) > 9
        return self.head(self.plain(h, h, h, key_padding_mask=out)[0].mean(1))


def two(kind: Any, seed: int = 0) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    first, second = kind().double(), kind().double()
    for model in (first, second):
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
    return first.eval(), second.eval()


def batch(rows: int = 6, channels: int = 1) -> Any:
    return torch.randn(rows, channels, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("how", ["mix", "vmap"])
def test_merging_ways_agree(how: Any) -> None:
    first, second = two(Mixed)
    x = batch()
    wanted = merging(first, second, gamma=10.0, how="loop")(x)
    torch.testing.assert_close(merging(first, second, gamma=10.0, how=how, chunk=4)(x), wanted)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_attention_and_positions_are_mixed(batch_first: bool, bias: bool) -> None:
    first, second = two(lambda: Seeing(batch_first, bias))
    before = [{n: v.clone() for n, v in m.state_dict().items()} for m in (first, second)]
    adapter = merging(first, second, gamma=10.0)
    x = batch(channels=4)
    torch.testing.assert_close(adapter(x), merging(first, second, gamma=10.0, how="loop")(x))
    assert adapter._chosen == "mix"
    assert all("forward" not in vars(part) for part in first.modules())
    for model, held in zip((first, second), before, strict=True):
        assert all(torch.equal(v, held[n]) for n, v in model.state_dict().items())


def test_attention_over_padded_inputs_is_merged_and_refused_by_mix() -> None:
    first, second = two(Padded)
    x = batch(channels=4)
    adapter = merging(first, second, gamma=10.0)
    torch.testing.assert_close(adapter(x), merging(first, second, gamma=10.0, how="loop")(x))
    assert adapter._chosen == "vmap"
    with pytest.raises(BadInput, match="padded"):
        merging(first, second, gamma=10.0, how="mix")(x)
    assert all("forward" not in vars(part) for part in first.modules())


@pytest.mark.parametrize("how", ["auto", "mix", "vmap", "loop"])
def test_logits_are_read_in_32_bits_under_autocast(how: Any) -> None:
    first, second = (nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 3)) for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert merging(first, second, gamma=10.0, how=how)(torch.randn(6, 4)).dtype == torch.float32


def test_auto_merges_where_a_bare_parameter_is_no_place_for_rows() -> None:
    class Mapped(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.map, self.head = nn.Parameter(torch.rand(1, 4)), nn.Linear(1, 3)

        def forward(self, x: Any) -> Any:
            return self.head(x @ self.map.T)

    first, second = two(Mapped)
    x = torch.randn(5, 4, dtype=torch.double)
    adapter = merging(first, second, gamma=10.0)
    torch.testing.assert_close(adapter(x), merging(first, second, gamma=10.0, how="loop")(x))
    assert adapter._chosen == "vmap"


def test_a_forward_that_somebody_has_put_on_a_norm_stays() -> None:
    first, second = two(lambda: Seeing(True))
    with torch.no_grad():
        second.layer.weight.add_(0.1)
    own = first.layer.forward
    first.layer.forward = own
    merging(first, second, gamma=10.0, how="mix")(batch(channels=4))
    assert vars(first.layer)["forward"] is own


def test_auto_falls_back_where_layers_are_unknown() -> None:
    first, second = two(Attending)
    x = batch(channels=4)
    adapter = merging(first, second, gamma=10.0)
    torch.testing.assert_close(adapter(x), merging(first, second, gamma=10.0, how="loop")(x))
    assert adapter._chosen == "vmap"
    with pytest.raises(ConfigError, match="mix"):
        merging(first, second, how="mix")


def test_auto_distrusts_a_layer_whose_weight_is_read_elsewhere() -> None:
    class Tied(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(16, 16), nn.Linear(16, 3)

        def forward(self, x: Any) -> Any:
            return self.head(torch.tanh(x.flatten(1) @ self.first.weight))

    first, second = two(Tied)
    adapter = merging(first, second, gamma=10.0)
    torch.testing.assert_close(adapter(batch()), merging(first, second, gamma=10.0, how="loop")(batch()))
    assert adapter._chosen == "vmap"


class Padding(nn.Module):  # type: ignore[misc, name-defined]
    """Attention that leaves places out where a batch says so."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Any, out: Any = None) -> Any:
        return self.head(self.attention(x, x, x, key_padding_mask=out, need_weights=False)[0].mean(1))


class Long(nn.Module):  # type: ignore[misc, name-defined]
    """Another path for long inputs, on which a layer's weight is read without the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        h = self.first(x) if x.shape[1] < 4 else x @ self.first.weight
        return self.head(torch.tanh(h).mean(1))


class Branching(nn.Module):  # type: ignore[misc, name-defined]
    """A branch on values: torch.func cannot; and a parameter of its own: "mix" cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.head = nn.Parameter(torch.rand(4)), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        h = (x * self.scale).mean(1)
        return self.head(-h if float(h.sum()) > 0 else h)


class Cautious(nn.Module):  # type: ignore[misc, name-defined]
    """Layers that are called by keyword, of which one has two names, and one lends its weight to another."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.layer, self.group = nn.Linear(4, 4), nn.LayerNorm(4), nn.GroupNorm(2, 4)
        self.again = self.first
        self.batch, self.head = nn.BatchNorm1d(4), nn.Linear(4, 3)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.layer_of_embedding().weight

    def layer_of_embedding(self) -> Any:
        self.embedding = nn.Embedding(4, 4)
        return self.embedding

    def forward(self, x: Any) -> Any:
        h = self.again(input=torch.tanh(self.first(input=x.mean(1))))
        h = self.batch(input=self.group(input=self.layer(input=h)))
        return self.head(input=self.tied(h) + self.embedding(torch.arange(1)))


def by_hand(adapter: Any, x: Any) -> Any:
    """Merge a copy of the generalist in place for each sample, by the weights that the adapter saw, and run it."""
    model, expert = adapter.model, adapter.expert
    inputs = x if isinstance(x, dict) else {"x": x}
    rows = []
    for at, weight in enumerate(adapter.evidence["weight"].tolist()):
        merged = deepcopy(model)
        with torch.no_grad():
            theirs = dict(expert.named_parameters())
            for name, value in merged.named_parameters():
                value.mul_(weight).add_((1 - weight) * theirs[name])
            out = merged(**{name: part[at : at + 1] for name, part in inputs.items()})
        rows.append(getattr(out, "logits", out))
    return torch.cat(rows)


def stream(*lengths: int, padded: bool = False) -> list[Any]:
    """Batches of sequences (B, length, 4), each of another number of samples."""
    draw = torch.Generator().manual_seed(4)
    made = [torch.randn(7 - at, n, 4, dtype=torch.float64, generator=draw) for at, n in enumerate(lengths)]
    if not padded:
        return made
    masks = [None, torch.arange(lengths[1]).expand(6, -1) > 2, None]
    return [{"x": x} if mask is None else {"x": x, "out": mask} for x, mask in zip(made, masks, strict=True)]


@pytest.mark.parametrize(
    ("kind", "batches", "ways"),
    [
        (Padding, stream(5, 5, 3, padded=True), ["mix", "vmap", "mix"]),
        (Long, stream(2, 6, 3), ["mix", "vmap", "mix"]),
        (Branching, stream(2, 2, 3), ["loop", "loop", "loop"]),
        (Cautious, stream(2, 3, 1), ["vmap", "vmap", "vmap"]),
    ],
)
def test_auto_finds_a_way_for_each_kind_of_batch(kind: Any, batches: Any, ways: list[str]) -> None:
    first, second = two(kind)
    before = [{n: v.clone() for n, v in m.state_dict().items()} for m in (first, second)]
    adapter = merging(first, second, gamma=10.0)
    for x, way in zip(batches, ways, strict=True):
        logits = adapter(x)
        assert adapter._chosen == way
        torch.testing.assert_close(logits, by_hand(adapter, x), rtol=0, atol=1e-9)
    for model, held in zip((first, second), before, strict=True):
        assert all(torch.equal(v, held[n]) for n, v in model.state_dict().items())
        assert all(isinstance(v, nn.Parameter) for v in model.parameters())


def test_auto_goes_on_where_a_way_fails_on_later_values() -> None:
    class Masked(Padding):
        """Padding that only some values of the same shape have."""

        def forward(self, x: Any, out: Any = None) -> Any:
            return super().forward(x, out if out.any() else None)

    first, second = two(Masked)
    adapter = merging(first, second, gamma=10.0)
    for share in (0.0, 0.5, 0.0):
        x = {"x": stream(5)[0], "out": torch.arange(5).expand(7, -1) > 5 * (1 - share)}
        torch.testing.assert_close(adapter(x), by_hand(adapter, x), rtol=0, atol=1e-9)
        assert adapter._chosen == ("mix" if share == 0 and adapter.cost.batches == 1 else "loop")


def test_what_torch_func_cannot_run_is_said() -> None:
    first, second = two(Branching)
    with pytest.raises(BadInput, match="how='auto'"):
        merging(first, second, gamma=10.0, how="vmap")(stream(2)[0])


def small(**others: Any) -> dict[str, Any]:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    return {**sizes, "num_labels": 3, **others}


def texts(rows: int, length: int, padding: int = 0) -> dict[str, Any]:
    ids = torch.randint(1, 20, (rows, length), generator=torch.Generator().manual_seed(rows))
    mask = (torch.arange(length).expand(rows, -1) < length - padding).long()
    return {"input_ids": ids, "attention_mask": mask}


def pixels(rows: int) -> dict[str, Any]:
    return {"pixel_values": torch.randn(rows, 3, 16, 16, generator=torch.Generator().manual_seed(rows))}


@pytest.mark.parametrize(
    ("name", "settings", "batches", "way"),
    [
        ("Bert", {"vocab_size": 20}, [texts(5, 6), texts(4, 6, 2), texts(3, 9)], "mix"),
        ("Llama", {"vocab_size": 20, "pad_token_id": 0}, [texts(5, 6), texts(3, 8)], "loop"),
        ("ViT", {"image_size": 16, "patch_size": 4}, [pixels(5), pixels(3)], "mix"),
    ],
)
def test_classifiers_of_transformers(name: str, settings: Any, batches: Any, way: str) -> None:
    import transformers

    task = "ForImageClassification" if name == "ViT" else "ForSequenceClassification"
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**small(**settings))
    first = getattr(transformers, f"{name}{task}")(config).eval()
    second = deepcopy(first)
    with torch.no_grad():
        for value in second.parameters():
            value.add_(0.1 * torch.randn_like(value))
    adapter = merging(first, second, gamma=10.0)
    for x in batches:
        logits = adapter(x)
        assert adapter._chosen == way
        assert len(adapter.evidence["weight"].unique()) > 1
        torch.testing.assert_close(logits, by_hand(adapter, x), rtol=0, atol=1e-5)


def compiled(model: Any, how: str) -> Any:
    """Return a model compiled as a whole, in place, in one part, or not at all."""
    if how == "whole":
        return torch.compile(model, backend="eager")
    if how == "in place":
        model.compile(backend="eager")
    if how == "part":
        name, part = next((name, part) for name, part in model.named_children() if list(part.parameters()))
        setattr(model, name, torch.compile(part, backend="eager"))
    return model


@pytest.mark.parametrize("generalist", ["whole", "in place", "part", "plain"])
@pytest.mark.parametrize("expert", ["whole", "part", "plain"])
@pytest.mark.parametrize("how", ["mix", "vmap", "loop"])
def test_compiled_models_are_merged_like_plain_ones(generalist: str, expert: str, how: Any) -> None:
    plain = merging(*two(Mixed), gamma=10.0, how=how)
    first, second = two(Mixed)
    adapter = merging(compiled(first, generalist), compiled(second, expert), gamma=10.0, how=how)
    assert adapter.merged(0.5).keys() == plain.merged(0.5).keys()
    for x in (batch(), batch(3)):
        torch.testing.assert_close(adapter(x), plain(x), rtol=0, atol=1e-9)


def test_models_with_gaps_are_merged_when_compiled() -> None:
    first, second = (torch.compile(model, backend="eager") for model in two(Long))
    adapter = merging(first, second, gamma=10.0)
    for x in stream(2, 6, 3):
        torch.testing.assert_close(adapter(x), by_hand(adapter, x), rtol=0, atol=1e-9)


def test_baselines() -> None:
    first, second = two(Mixed)
    x = batch()
    with torch.no_grad():
        laws = [model(x).softmax(-1) for model in (first, second)]
    torch.testing.assert_close(merging(first, second, rule="ensemble")(x), ((laws[0] + laws[1]) / 2).log())

    drawn = merging(first, second, rule="random", low=0.2, high=0.4, seed=5)
    drawn(x)
    weight = drawn.evidence["weight"].unique()
    drawn(batch(3))
    assert drawn.evidence["weight"].unique().equal(weight)
    assert 0.2 <= float(weight) <= 0.4
    other = merging(first, second, rule="random", seed=6)
    other(x)
    assert not other.evidence["weight"].unique().equal(weight)

    beyond = merging(first, second, rule="constant", low=-0.5, high=-0.5).merged(-0.5)  # task arithmetic, 1.5 x
    ours, theirs = first.head.weight.detach(), second.head.weight.detach()
    torch.testing.assert_close(beyond["head.weight"], ours + 1.5 * (theirs - ours))


@pytest.mark.parametrize("per", ["sample", "batch"])
def test_a_path_on_the_sphere(per: Any) -> None:
    from ponder.numerics.model_merging import slerp

    first, second = two(Mixed)
    x = batch(4)
    adapter = merging(first, second, gamma=10.0, path="sphere", per=per)
    logits = adapter(x)
    for row, weight in enumerate(adapter.evidence["weight"].tolist()):
        model = deepcopy(first)
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.copy_(slerp(1 - weight, value, second.get_parameter(name)))
            torch.testing.assert_close(logits[row], model(x[row : row + 1])[0])
    torch.testing.assert_close(adapter.merged(1.0)["head.weight"], first.head.weight)
    torch.testing.assert_close(adapter.merged(0.0)["head.weight"], second.head.weight)


def test_the_experts_bytes_are_counted() -> None:
    first, second = two(Mixed)
    held = [*second.parameters(), *second.buffers()]
    assert merging(first, second).state_bytes() >= sum(part.numel() * part.element_size() for part in held)


@pytest.mark.parametrize("per", ["sample", "batch", "mixture"])
def test_identical_models_and_constant_bounds(per: Any) -> None:
    first, second = two(Mixed)
    x = batch()
    with torch.no_grad():
        torch.testing.assert_close(merging(first, deepcopy(first), per=per)(x), first(x))
    constant = merging(first, second, per=per, low=0.3, high=0.3)(x)
    torch.testing.assert_close(constant, merging(first, second, per=per, rule="constant", low=0.3, high=0.3)(x))


def test_a_batch_of_one_is_the_sample_itself() -> None:
    first, second = two(Mixed)
    x = batch(1)
    torch.testing.assert_close(merging(first, second, per="batch")(x), merging(first, second)(x))


def test_mixture_with_a_component_for_each_weight_is_nearly_per_sample() -> None:
    first, second = two(Mixed)
    x = batch(5)
    grouped = merging(first, second, gamma=10.0, per="mixture", components=5)
    torch.testing.assert_close(grouped(x), merging(first, second, gamma=10.0)(x), rtol=0, atol=0.05)
    assert len(grouped.evidence["weight"].unique()) <= 5


def test_rules_and_direction() -> None:
    first, second = two(Mixed)
    x = batch()
    weights = {}
    for rule in ("js", "entropy", "confidence", "constant"):
        adapter = merging(first, second, rule=rule, gamma=10.0)
        adapter(x)
        weights[rule] = adapter.evidence["weight"]
    assert bool((weights["js"] >= 0.5).all())
    assert weights["constant"].unique().tolist() == [0.5]
    assert bool(((weights["entropy"] > 0) & (weights["entropy"] < 1)).all())
    reverse = merging(first, second, gamma=10.0, direction="expert_on_disagreement")
    reverse(x)
    torch.testing.assert_close(reverse.evidence["weight"], 1 - weights["js"])


def test_models_are_left_alone_and_passes_are_counted() -> None:
    first, second = two(Mixed)
    before = [{n: v.clone() for n, v in m.state_dict().items()} for m in (first, second)]
    first.train()
    adapter = merging(first, second, gamma=10.0, how="vmap")
    adapter(batch())
    assert adapter.cost.forwards == 3
    assert adapter.cost.forward_samples == 18
    adapter.restore()
    assert first.training
    for model, held in zip((first, second), before, strict=True):
        assert all(torch.equal(v, held[n]) for n, v in model.state_dict().items())


def test_names_that_are_kept_are_the_generalists() -> None:
    first, second = two(Mixed)
    adapter = merging(first, second, keep=("head.bias",))
    merged = adapter.merged(0.0)
    assert torch.equal(merged["head.bias"], first.head.bias)
    assert torch.equal(merged["head.weight"], second.head.weight)


def test_models_that_do_not_fit() -> None:
    first, _ = two(Mixed)
    with pytest.raises(BadInput):
        merging(first, nn.Linear(2, 2))
    with pytest.raises(BadInput):
        merging(nn.Linear(3, 2), nn.Linear(2, 2))
    with pytest.raises(BadInput):
        merging(first, "no model")
    for settings in (
        {"how": "magic"},
        {"per": "day"},
        {"temperature": 0.0},
        {"low": 1.0, "high": 0.0},
        {"chunk": 0},
        {"path": "arc"},
    ):
        with pytest.raises(ConfigError):
            merging(first, deepcopy(first), **settings)
    with pytest.raises(ConfigError, match="sphere"):
        merging(first, deepcopy(first), path="sphere", how="mix")
    with pytest.raises(ConfigError, match="beta"):
        merging(first, deepcopy(first), per="mixture", high=1.2)


def test_the_cards_experiment() -> None:
    """Gaussian classes; the generalist has seen shifted data too, the expert was tuned on clean data only."""
    from ponder.numerics.paired import paired_score_interval

    draw = torch.Generator().manual_seed(1)
    centres = torch.randn(10, 32, generator=draw)
    turn = torch.linalg.qr(torch.eye(32) + 0.12 * torch.randn(32, 32, generator=draw)).Q

    def sample(count: int, shifted: bool) -> tuple[Any, Any]:
        y = torch.randint(10, (count,), generator=draw)
        x = centres[y] + 1.5 * torch.randn(count, 32, generator=draw)
        return (x @ turn + 0.8 if shifted else x), y

    def train(net: Any, steps: int, mixed: bool, lr: float) -> None:
        optimizer = torch.optim.Adam(net.parameters(), lr=lr)
        for step in range(steps):
            x, y = sample(64, mixed and step % 2 == 1)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()

    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = [nn.Linear(32, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU()]
        generalist = nn.Sequential(*layers, nn.Linear(64, 10))
    train(generalist, 800, True, 2e-3)
    expert = deepcopy(generalist)
    train(expert, 800, False, 2e-3)
    models: dict[str, Any] = {
        "generalist": generalist.eval(),
        "expert": expert.eval(),
        "soup": merging(generalist, expert, rule="constant"),
        "published": merging(generalist, expert),
        "t3": merging(generalist, expert, gamma=10.0),
        "reversed": merging(generalist, expert, gamma=10.0, direction="expert_on_disagreement"),
    }
    clean, shifted = sample(2000, False), sample(2000, True)
    with torch.no_grad():
        right = {n: [m(x).argmax(1) == y for x, y in (clean, shifted)] for n, m in models.items()}
    print({name: [round(float(rows.float().mean()), 3) for rows in both] for name, both in right.items()})

    def gain(better: str, base: str, at: int) -> Any:
        ours, theirs = right[better][at], right[base][at]
        return paired_score_interval(int((ours & ~theirs).sum()), int((theirs & ~ours).sum()), len(ours))

    assert gain("expert", "generalist", 1).high < 0
    assert gain("t3", "soup", 1).low > 0
    assert gain("soup", "reversed", 1).low > 0
    assert gain("t3", "generalist", 0).low > -0.01
    models["published"](shifted[0])
    weights = models["published"].evidence["weight"]
    assert 0.5 <= float(weights.min()) <= float(weights.max()) < 0.586, "gamma 0.5 has little range"


@pytest.mark.slow
def test_it_beats_uniform_souping_the_expert_and_the_generalist_where_the_two_disagree() -> None:
    """A generalist of many kinds of pictures, an expert of one (its home); gamma was chosen on other pictures."""
    from ponder.adapt._reference_pairs import SEEN, two_experts
    from ponder.numerics.paired import paired_score_interval
    from ponder.tasks.corruptions import corrupt
    from ponder.tasks.pictures import shapes

    found, data = two_experts(), shapes(800, seed=304)
    domains = {"home": found.at_home(data.x, seed=304)} | {k: corrupt(data.x, k, 5, seed=304) for k in SEEN}
    models: dict[str, Any] = {
        "generalist": found.model,
        "expert": found.expert,
        "t3": merging(found.model, found.expert, gamma=10.0),
        "t3, published gamma": merging(found.model, found.expert),
        "soup": merging(found.model, found.expert, rule="constant"),
        "reversed": merging(found.model, found.expert, gamma=10.0, direction="expert_on_disagreement"),
    }
    right: dict[str, dict[str, Any]] = {}
    with torch.no_grad():
        for name, model in models.items():
            right[name] = {
                k: torch.cat([model(part).argmax(1) for part in x.split(64)]) == data.y for k, x in domains.items()
            }
            errors = {k: round(1 - float(rows.float().mean()), 3) for k, rows in right[name].items()}
            print(f"{name}: mean {sum(errors.values()) / len(errors):.3f}", errors)

    def gain(better: str, base: str, where: Any = tuple(domains)) -> Any:
        ours, theirs = (torch.cat([right[name][k] for k in where]) for name in (better, base))
        return paired_score_interval(int((ours & ~theirs).sum()), int((theirs & ~ours).sum()), len(ours))

    for base in ("generalist", "expert", "soup", "t3, published gamma", "reversed"):
        print("gain on", base, gain("t3", base), "away", gain("t3", base, SEEN), "at home", gain("t3", base, ["home"]))
    assert gain("t3", "soup", SEEN).low > 0, "away from home the two disagree"
    assert gain("t3", "generalist").low > 0
    assert gain("t3", "expert").low > 0
    assert gain("t3", "reversed").low > 0
    assert gain("soup", "t3", ["home"]).low > 0, "where the expert is better, the rule gives it too little"

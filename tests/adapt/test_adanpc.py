"""AdaNPC: the memory and its limits, faiss beside exact, the batch norm, and the card's drifting Gaussians."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ponder.core.errors import AccessDenied, BadInput, ConfigError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def voting(source: Any, **settings: Any) -> Any:
    from ponder.adapt.adanpc import AdaNPC

    return AdaNPC(torch.nn.Identity(), source=source, **{"head": "", **settings})


def points(count: int = 60, seed: int = 0, width: int = 5, classes: int = 3) -> tuple[Any, Any]:
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (count,), generator=draw)
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    return centres[y] + 0.4 * torch.randn(count, width, generator=draw), y


def test_one_neighbour_is_the_nearest_by_cosine() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    x, y = points()
    query, _ = points(40, seed=1)
    peer = neighbors.KNeighborsClassifier(n_neighbors=1, metric="cosine").fit(x.numpy(), y.numpy())
    assert voting((x, y), k=1, margin=1.1)(query).argmax(1).tolist() == peer.predict(query.numpy()).tolist()


def test_prototypes_make_a_cosine_classifier() -> None:
    keys = torch.nn.functional.normalize(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), dim=1)
    query = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    found = voting((keys, torch.arange(4)), k=4, temperature=0.2, margin=1.1)(query).exp()
    wanted = (torch.nn.functional.normalize(query, dim=1) @ keys.T / 0.2).softmax(1)
    torch.testing.assert_close(found, (wanted + 1e-5).clamp(max=1))


def test_margin_adds_all_or_none() -> None:
    source, (x, _) = points(), points(30, seed=2)
    everything, nothing = voting(source, margin=0.0), voting(source, margin=1.1)
    for at in range(0, 30, 10):
        everything(x[at : at + 10])
        nothing(x[at : at + 10])
    assert (everything.size, nothing.size) == (90, 60)
    shuffled = voting(source, margin=1.1)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(shuffled(x[order]), nothing(x)[order])


def test_reset_and_saved_states_repeat_bit_by_bit() -> None:
    source, (x, _) = points(), points(40, seed=3)
    adapter = voting(source, margin=0.0)
    first = adapter(x)
    state = adapter.state_dict()
    second = adapter(x)
    adapter.reset()
    assert adapter.size == 60
    assert torch.equal(adapter(x), first)
    other = voting(source, margin=0.0)
    other.load_state_dict(state)
    assert torch.equal(other(x), second)


def test_the_oldest_added_give_way() -> None:
    source, (x, _) = points(), points(50, seed=4)
    adapter = voting(source, margin=0.0, most_added=12)
    for at in range(0, 50, 10):
        adapter(x[at : at + 10])
    assert adapter.size == 72
    unit = torch.nn.functional.normalize(x[-12:], dim=1)
    torch.testing.assert_close(adapter.memory.keys[60:], unit)
    adapter.reset()
    adapter(x)
    torch.testing.assert_close(adapter.memory.keys[60:], unit)


def test_features_come_from_before_the_last_linear_or_a_named_module() -> None:
    from ponder.adapt.adanpc import AdaNPC

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))
    x, y = points()
    by_default = AdaNPC(model, source=[(x[:30], y[:30]), (x[30:], y[30:])])
    assert by_default.memory.keys.shape == (60, 7)
    assert AdaNPC(model, source=(x, y), head="0").memory.keys.shape == (60, 5)
    assert by_default.cost.forwards == 2
    by_default(x[:8])
    assert by_default.cost.forwards == 3


def test_a_head_that_never_runs_is_refused() -> None:
    from torch import nn

    class Spare(nn.Module):  # type: ignore[misc]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(5, 3), nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return self.used(x)

    from ponder.adapt.adanpc import AdaNPC

    with pytest.raises(BadInput, match="spare"):
        AdaNPC(Spare(), source=points())
    assert AdaNPC(Spare(), source=points(), head="used").size == len(points()[1])


def test_classes_can_be_capped() -> None:
    x, y = points()
    adapter = voting((x, y), per_class=4)
    assert torch.bincount(adapter.memory.labels).tolist() == [4, 4, 4]


def test_more_neighbours_than_entries_are_clamped() -> None:
    x, y = points(3)
    assert voting((x, y), classes=3, k=50)(x).shape == (3, 3)


def test_batch_norm_variant_moves_and_comes_back() -> None:
    source, (x, _) = points(), points(20, seed=5)
    adapter = voting(source, norm_steps=2, lr=0.05, margin=0.0)
    first = adapter(x)
    assert adapter.size == 80  # once, not in each step
    assert adapter.cost.backwards == adapter.cost.updates == 2
    assert not torch.equal(adapter.norm.weight, torch.ones(5))
    state = adapter.state_dict()
    adapter.reset()
    assert torch.equal(adapter.norm.weight.detach(), torch.ones(5))
    assert torch.equal(adapter(x), first)
    adapter.load_state_dict(state)
    assert torch.equal(adapter.norm.weight.detach(), state["memory"]["norm"]["weight"])
    with pytest.raises(BadInput, match="two samples"):
        adapter(x[:1])
    with adapter.frozen(), pytest.raises(BadInput, match="two samples"):
        adapter(x[:1])


def test_batch_norm_variant_remembers_in_each_step_where_told_to() -> None:
    source, (x, _) = points(), points(20, seed=5)
    once, each = (voting(source, norm_steps=3, margin=0.0, append=append) for append in ("last", "each"))
    once(x)
    each(x)
    assert (once.size, each.size) == (80, 120)


def test_a_frozen_batch_norm_predicts_what_the_next_step_would() -> None:
    source, (x, _) = points(), points(20, seed=5)
    adapter = voting(source, norm_steps=1, lr=0.05)
    with adapter.frozen():
        before = adapter(x)
    torch.testing.assert_close(adapter(x), before)


def test_what_is_not_finite_teaches_nothing() -> None:
    source, (x, _) = points(), points(20, seed=5)
    x[3] = float("nan")
    adapter = voting(source, margin=0.0)
    assert bool(adapter(x)[[0, 19]].isfinite().all())
    assert adapter.size == 79
    normed = voting(source, margin=0.0, norm_steps=2)
    normed(x)
    assert torch.equal(normed.norm.weight.detach(), torch.ones(5))
    assert (normed.cost.skipped, normed.cost.updates, normed.size) == (2, 0, 60)
    with pytest.raises(BadInput, match="finite"):
        voting((x, torch.zeros(20).long()))


def test_the_ball_lets_all_near_entries_vote() -> None:
    (keys, labels), (x, _) = points(), points(20, seed=8)
    cosine = torch.nn.functional.normalize(x, dim=1) @ torch.nn.functional.normalize(keys, dim=1).T
    radius = float(cosine.amax(1).min()) - 1e-3
    for part, ball in ((x, True), (torch.cat([x, -10 * x.mean(0, keepdim=True)]), False)):
        found = voting((keys, labels), k=3, margin=1.1, radius=radius)(part)[:20].exp()
        for row, scores in zip(cosine, found, strict=True):
            voters = (row >= radius).nonzero().flatten() if ball else row.topk(3).indices
            weights = (row[voters] / 0.1).softmax(0)
            wanted = torch.zeros(3).index_add(0, labels[voters], weights)
            torch.testing.assert_close(scores, (wanted + 1e-5).clamp(max=1))


def test_one_class_is_all_there_is() -> None:
    x, _ = points()
    alone, of_three = (voting((x, torch.zeros(60).long()), classes=c) for c in (None, 3))
    assert alone(x[:4]).exp().tolist() == [[1.0]] * 4
    assert of_three(x[:4]).argmax(1).tolist() == [0] * 4
    assert bool(of_three(x[:4]).isfinite().all())


def test_half_precision_and_autocast_search_in_32_bits() -> None:
    from ponder.adapt.adanpc import AdaNPC

    source, (x, _) = points(600), points(30, seed=9)
    exact = voting(source, radius=-1.0)(x)
    assert voting((source[0].bfloat16(), source[1]))(x.bfloat16()).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(voting(source, radius=-1.0)(x), exact)
        assert torch.equal(voting(source)(x), voting(source)(x))
        model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))
        assert AdaNPC(model, source=source, norm_steps=2)(x).dtype == torch.float32


def test_features_of_compiled_models_and_of_heads_called_by_keyword() -> None:
    from ponder.adapt.adanpc import AdaNPC

    class Named(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is not typed here
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = torch.nn.Linear(5, 7), torch.nn.Linear(7, 3)

        def forward(self, x: Any) -> Any:
            return self.head(input=self.body(x).relu())

    torch.manual_seed(0)
    model, (source, (x, _)) = Named(), (points(), points(24, seed=2))
    plain = AdaNPC(model, source=source, margin=0.0)
    compiled = AdaNPC(torch.compile(model, backend="eager"), source=source, margin=0.0)
    for part in x.split(8):
        assert torch.equal(plain(part), compiled(part))
    with torch.no_grad():
        unit = torch.nn.functional.normalize(model.body(source[0]).relu(), dim=1)
    assert torch.equal(plain.memory.keys[:60], unit)


def test_states_of_another_memory_are_refused() -> None:
    source, (x, _) = points(), points(10, seed=2)
    adapter = voting(source, margin=0.0)
    adapter(x)
    wide = voting(points(width=6), margin=0.0)
    few = voting((source[0], (source[1] > 0).long()), margin=0.0)
    for other in (wide, few, voting(source, norm_steps=1)):
        before = other.size
        with pytest.raises(BadInput, match="another memory"):
            other.load_state_dict(adapter.state_dict())
        assert other.size == before


def test_a_saved_state_keeps_labels_and_order() -> None:
    source, (x, _) = points(), points(40, seed=3)
    adapter = voting(source, margin=0.0, most_added=15)
    voted = torch.cat([adapter(part).argmax(1) for part in x.split(10)])
    keys, labels = adapter.memory.added()
    assert torch.equal(labels, voted[-15:])
    other = voting(source, margin=0.0, most_added=15)
    other.load_state_dict(adapter.state_dict())
    for ours, theirs in zip(other.memory.added(), (keys, labels), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(other(x), adapter(x))


def test_bytes_of_the_source_are_counted() -> None:
    source, (x, _) = points(), points(10, seed=2)
    adapter = voting(source, margin=0.0)
    assert adapter.state_bytes() == 60 * (5 * 4 + 8)
    adapter(x)
    assert adapter.state_bytes() == 70 * (5 * 4 + 8)


@pytest.mark.parametrize("most", [None, 40])
def test_the_buffer_grows_by_shares(most: int | None) -> None:
    from ponder.adapt._feature_memory import FeatureMemory

    draw = torch.Generator().manual_seed(0)
    keys = torch.randn(500, 3, generator=draw)
    memory = FeatureMemory(keys, torch.arange(500))
    sizes = set()
    for at in range(400):
        new = torch.full((5, 3), float(at))
        memory.add(new, torch.full((5,), at), most=most)
        sizes.add(len(memory._keys))
    assert len(sizes) < 6
    assert len(memory) == 500 + (most or 2000)
    assert torch.equal(memory.keys[:500], keys)
    kept = torch.arange(400).repeat_interleave(5)[-(most or 2000) :]
    assert torch.equal(memory.labels[500:], kept)
    assert torch.equal(memory.keys[500:, 0], kept.float())


def test_faiss_finds_what_exact_search_finds() -> None:
    pytest.importorskip("faiss")
    source, (x, _) = points(6000, width=16, classes=5), points(64, seed=6, width=16, classes=5)
    exact, quick = voting(source, k=5, margin=0.0), voting(source, k=5, margin=0.0, index="faiss", recall=0.97)
    agree = [(exact(part).argmax(1) == quick(part).argmax(1)).float().mean() for part in x.split(16)]
    assert quick.memory.index.recall >= 0.97
    assert quick.memory.index.probes >= 1
    assert float(sum(agree)) / 4 > 0.9
    assert quick.size == exact.size == 6064


def test_candidates_of_the_index_are_ranked_exactly_and_recall_is_of_others_than_oneself() -> None:
    pytest.importorskip("faiss")
    from ponder.adapt._feature_memory import FeatureMemory

    draw = torch.Generator().manual_seed(4)
    keys = torch.nn.functional.normalize(torch.randn(5000, 24, generator=draw), dim=1)  # no clusters: hard to index
    queries = torch.nn.functional.normalize(torch.randn(200, 24, generator=draw), dim=1)
    labels = torch.zeros(5000, dtype=torch.long)
    exact, quick = FeatureMemory(keys, labels), FeatureMemory(keys, labels, recall=0.9, k=5)
    assert quick.index is not None
    assert quick.index.search(queries, 5).shape == (200, min(5000, 5 * quick.index.wide))
    assert 1 <= quick.index.probes <= 64
    found, wanted = quick.nearest(queries, 5), exact.nearest(queries, 5)
    close = (keys[found] * queries[:, None]).sum(-1)
    assert bool((close.diff(dim=1) <= 1e-6).all())
    assert float((found[:, :, None] == wanted[:, None]).any(1).double().mean()) > 0.85
    quick.add(queries, torch.ones(200, dtype=torch.long))
    assert torch.equal(quick.nearest(queries, 1)[:, 0], torch.arange(5000, 5200))


def test_cells_that_hold_too_few_are_left_for_an_exact_search() -> None:
    pytest.importorskip("faiss")
    from ponder.adapt._feature_memory import FeatureMemory

    draw = torch.Generator().manual_seed(6)
    keys = torch.nn.functional.normalize(torch.randn(5000, 8, generator=draw), dim=1)
    exact, quick = (FeatureMemory(keys, torch.zeros(5000).long(), recall=r) for r in (None, 0.9))
    assert quick.index is not None
    quick.index._index.nprobe, quick.index.wide = 1, 1  # a cell holds some 80
    found, wanted = quick.nearest(keys[:20], 600), exact.nearest(keys[:20], 600)
    assert torch.equal(found, wanted)


def test_recall_of_an_index_is_known_where_entries_are_equal() -> None:
    pytest.importorskip("faiss")
    from ponder.adapt._feature_memory import FeatureMemory

    draw = torch.Generator().manual_seed(5)
    keys = torch.nn.functional.normalize(torch.randn(250, 24, generator=draw), dim=1).repeat(20, 1)
    index = FeatureMemory(keys, torch.zeros(5000, dtype=torch.long), recall=0.9, k=5).index
    assert index is not None
    assert index.recall >= 0.9
    assert index.wide <= 64, "no more candidates help to tell equal entries apart"


def test_a_small_faiss_memory_is_exact() -> None:
    pytest.importorskip("faiss")
    source, (x, _) = points(), points(20, seed=7)
    torch.testing.assert_close(voting(source, index="faiss")(x), voting(source)(x))


@pytest.mark.parametrize(
    "settings",
    [
        {"k": 0},
        {"temperature": 0.0},
        {"index": "other"},
        {"index": "faiss", "radius": 0.5},
        {"recall": 0.0},
        {"most_added": 0},
        {"norm_steps": -1},
        {"confidence": "certain"},
        {"parity": "other"},
        {"append": "never"},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        voting(points(), **settings)


def test_source_data_must_be_there_and_fit() -> None:
    with pytest.raises(BadInput, match="source"):
        voting([])
    x, y = points()
    with pytest.raises(BadInput, match="labels"):
        voting((x, y), classes=2)
    with pytest.raises(AccessDenied, match="linear layer"):
        voting((x, y), head=None)
    with pytest.raises(BadInput, match="no module 'nowhere'"):
        voting((x, y), head="nowhere")


def test_the_head_of_a_compiled_model_has_its_plain_name() -> None:
    from copy import deepcopy

    from ponder.adapt.adanpc import AdaNPC
    from ponder.adapt.label_shift import LabelShift

    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))
    x, y = points()
    for head in (None, "2"):
        model = torch.compile(deepcopy(plain), backend="eager")
        model(x)
        assert AdaNPC(model, source=(x, y), head=head)(x).equal(AdaNPC(deepcopy(plain), source=(x, y))(x))
        shift = LabelShift(model, head=head or "", source_prior=[0.5, 0.3, 0.2], correction="posthoc")
        assert shift._tap.name == "2"


@pytest.mark.parametrize("index", ["exact", "faiss"])
@pytest.mark.parametrize("way", ["copy", "pickle"])
def test_copies_and_pickles_go_on_alike(index: str, way: str) -> None:
    import pickle
    from copy import deepcopy

    if index == "faiss":
        pytest.importorskip("faiss")
    adapter = voting(points(5000), index=index)
    stream = points(60, seed=4)[0].split(20)
    adapter(stream[0])
    other = deepcopy(adapter) if way == "copy" else pickle.loads(pickle.dumps(adapter))
    for x in stream[1:]:
        assert other(x).equal(adapter(x))
    assert adapter.size == other.size > 5000
    adapter.reset()
    assert other.size > adapter.size == 5000


def rotating(margin: float, degrees: list[float], seed: int = 0) -> list[float]:
    """The card's experiment: two Gaussians at +-2, turned; accuracy of each step of 100 samples."""
    draw = torch.Generator().manual_seed(seed)

    def gaussians(count: int, turned: float) -> tuple[Any, Any]:
        y = torch.randint(2, (count,), generator=draw)
        x = torch.stack([4.0 * y - 2, torch.zeros(count)], 1) + 0.8 * torch.randn(count, 2, generator=draw)
        turn = math.radians(turned)
        return x @ torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]), y

    adapter = voting(gaussians(400, 0), k=10, temperature=0.1, margin=margin)
    accuracies = []
    for turned in degrees:
        x, y = gaussians(100, turned)
        right = torch.cat([adapter(part).argmax(1) for part in x.split(32)]) == y
        accuracies.append(float(right.float().mean()))
    return accuracies


def test_memory_helps_where_the_shift_moves_on_and_is_lost_in_the_end() -> None:
    from ponder.numerics.intervals import paired_difference

    steps = [5.0 * at for at in range(1, 25)]
    fixed, growing = ([rotating(margin, steps, seed) for seed in range(4)] for margin in (1.1, 0.0))
    for ours, theirs in zip(growing, fixed, strict=True):
        assert paired_difference(ours, theirs, range(24)).low > 0
        assert sum(ours[12:]) / 12 > sum(theirs[12:]) / 12 + 0.05
    means = [[sum(rows) / 4 for rows in zip(*runs, strict=True)] for runs in (growing, fixed)]
    print([[round(value, 2) for value in rows] for rows in means])
    assert all(ours > theirs - 0.05 for ours, theirs in zip(*(rows[10:] for rows in means), strict=True))
    assert means[0][-1] < 0.5, "source entries stay, and win in the end"


@pytest.mark.parametrize("margin", [0.0, 1.1])
def test_a_jump_is_not_recovered_from(margin: float) -> None:
    """By the angle alone, about a tenth is right: those that noise turns back by 30 degrees."""
    accuracies = rotating(margin, [120.0] * 20)
    assert sum(accuracies[10:]) / 10 < 0.13

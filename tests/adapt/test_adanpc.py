"""AdaNPC: the memory and its limits, faiss beside exact, the batch norm, and the card's drifting Gaussians."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ponder.core.errors import BadInput, ConfigError

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
    with adapter.frozen():
        adapter(x[:1])
    adapter.reset()
    assert torch.equal(adapter.norm.weight.detach(), torch.ones(5))
    assert torch.equal(adapter(x), first)
    with pytest.raises(BadInput, match="two samples"):
        adapter(x[:1])


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
    with pytest.raises(BadInput, match="Linear"):
        voting((x, y), head=None)


def rotating(margin: float) -> list[float]:
    """The card's experiment: two Gaussians at +-2, turned by 5 degrees a step; accuracy of each of 24 steps."""
    draw = torch.Generator().manual_seed(0)

    def gaussians(count: int, degrees: float) -> tuple[Any, Any]:
        y = torch.randint(2, (count,), generator=draw)
        x = torch.stack([4.0 * y - 2, torch.zeros(count)], 1) + 0.8 * torch.randn(count, 2, generator=draw)
        turn = math.radians(degrees)
        return x @ torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]), y

    adapter = voting(gaussians(400, 0), k=10, temperature=0.1, margin=margin)
    accuracies = []
    for step in range(1, 25):
        x, y = gaussians(100, 5.0 * step)
        right = torch.cat([adapter(part).argmax(1) for part in x.split(32)]) == y
        accuracies.append(float(right.float().mean()))
    return accuracies


def test_memory_helps_where_the_shift_moves_on() -> None:
    from ponder.numerics.intervals import paired_difference

    fixed, growing = rotating(1.1), rotating(0.0)
    gain = paired_difference(growing, fixed, range(24))
    assert gain.low > 0
    assert sum(growing[12:]) / 12 > sum(fixed[12:]) / 12 + 0.05

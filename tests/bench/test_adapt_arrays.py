"""A user's arrays: what is read, how it is turned into a model's inputs, and what is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.bench.adapt_arrays import check_fit, read_arrays
from ponder.core.errors import BadInput
from ponder.tasks.streams import make_stream

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

X = np.random.default_rng(0).random((12, 3, 8, 8), dtype="float32")
Y = np.arange(12) % 4


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    def save(**arrays: Any) -> Path:
        np.savez(tmp_path / "data.npz", **arrays)
        return tmp_path / "data.npz"

    return save


def net(dtype: Any = None) -> Any:
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(4)).to(
        dtype or torch.float32
    )


def test_domains_come_in_the_order_of_the_file_whether_they_are_in_one_piece_or_not(saved: Callable[..., Path]) -> None:
    names = ["b"] * 5 + ["a", "c"] * 3 + ["a"]
    found = read_arrays(saved(x=X, y=Y, domain=names, clean_x=X, clean_y=Y), net())
    assert [domain.name for domain in found.domains] == ["b", "a", "c"]
    for domain in found.domains:
        rows = [at for at, name in enumerate(names) if name == domain.name]
        assert torch.equal(domain.x[list(range(len(rows)))], torch.from_numpy(X[rows]))
        assert domain.y.tolist() == Y[rows].tolist()
    assert [Y[at] for at in range(12)] == [found.domains[domain].y[row] for domain, row in found.recorded]
    assert [names[at] for at in range(12)] == [found.domains[domain].name for domain, _ in found.recorded]
    assert (len(found.clean), len(found.source)) == (1, 0)
    assert found.facts == ("12 samples of data.npz",)


@pytest.mark.parametrize("kind", ["uint8", "float64", "float16"])
def test_pictures_become_what_the_model_takes(saved: Callable[..., Path], kind: str) -> None:
    given = (255 * X).astype(kind) if kind == "uint8" else X.astype(kind)
    want = torch.from_numpy(given).to(torch.float32) / (255 if kind == "uint8" else 1)
    found = read_arrays(saved(x=given, y=Y, source_x=given, source_y=Y), net())
    (domain,) = found.domains
    assert torch.equal(domain.x[[3, 1]], want[[3, 1]])
    assert torch.equal(domain.x[:5][[4]], want[[4]]), "a slice is no copy, and is read the same way"
    assert torch.equal(found.source[0][0], want)
    assert any("divided by 255" in fact for fact in found.facts) == (kind == "uint8")
    batch = next(iter(make_stream(found.domains, arrangement="mixed", batch=4)))
    assert batch.x.dtype == torch.float32


def test_a_model_of_doubles_gets_doubles_and_whole_numbers_stay(saved: Callable[..., Path]) -> None:
    assert read_arrays(saved(x=X, y=Y), net(torch.float64)).domains[0].x[[0]].dtype == torch.float64
    tokens = np.arange(12).reshape(12, 1)
    assert read_arrays(saved(x=tokens, y=Y), net()).domains[0].x[[0]].dtype == torch.int64


def test_numbers_with_their_bytes_the_other_way_round_are_the_same_numbers(saved: Callable[..., Path]) -> None:
    (domain,) = read_arrays(saved(x=X.astype(">f4"), y=Y.astype(">i8")), net()).domains
    assert torch.equal(domain.x[[3, 1]], torch.from_numpy(X[[3, 1]]))
    assert domain.y.tolist() == Y.tolist()


def test_arrays_that_nothing_reads_are_named(saved: Callable[..., Path]) -> None:
    assert "domains (read are" in read_arrays(saved(x=X, y=Y, domains=["a"] * 12)).facts[-1]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X}, "has no y"),
        ({"y": Y}, "has no x"),
        ({"x": X[:0], "y": Y[:0]}, "at least 1"),
        ({"x": X, "y": Y[:3]}, r"\(12, 3, 8, 8\) and \(3,\)"),
        ({"x": X, "y": np.eye(4)[Y]}, "a class for each"),
        ({"x": X, "y": Y + 0.5}, "whole numbers"),
        ({"x": X, "y": Y.astype(str)}, "whole numbers"),
        ({"x": X.astype(str), "y": Y}, "must hold numbers"),
        ({"x": np.where(X > 0.999, np.nan, X), "y": Y}, "not finite in"),
        ({"x": X, "y": Y, "clean_x": X}, "has no clean_y"),
        ({"x": X, "y": Y, "source_x": X, "source_y": Y[:2]}, "source_y"),
        ({"x": X, "y": Y, "domain": ["a", "b"]}, "give one each"),
        ({"x": X, "y": Y, "domain": np.array(["a"] * 12, dtype=object)}, "array of str"),
    ],
)
def test_what_does_not_fit_together_is_refused(saved: Callable[..., Path], arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        read_arrays(saved(**arrays))
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path, saved: Callable[..., Path]) -> None:
    whole = saved(x=X, y=Y).read_bytes()
    (tmp_path / "torn.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("hello", encoding="utf-8")
    np.save(tmp_path / "one.npy", X)
    for name, said in (
        ("torn.npz", "cannot read"),
        ("text.npz", "no"),
        ("one.npy", "without a name"),
        ("none", "No such"),
    ):
        with pytest.raises(BadInput, match=said) as caught:
            read_arrays(tmp_path / name)
        assert "pickle" not in str(caught.value), "no advice to open it unsafely"


def test_a_model_that_cannot_take_the_pictures(saved: Callable[..., Path]) -> None:
    fits = read_arrays(saved(x=X, y=Y)).domains
    check_fit(net(), fits)
    last = read_arrays(saved(x=X.transpose(0, 2, 3, 1), y=Y)).domains
    with pytest.raises(BadInput, match="channels last"):
        check_fit(net(), last)
    with pytest.raises(BadInput, match="as the model takes it"):
        check_fit(net(), read_arrays(saved(x=X[:, :1], y=Y)).domains)
    with pytest.raises(BadInput, match="classes 0 to 3"):
        check_fit(net(), read_arrays(saved(x=X, y=Y + 1)).domains)

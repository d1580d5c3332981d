from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import ModelInfo
from ponder.core.usage import Usage
from ponder.models.shapes import with_shape
from ponder.numerics.cost_laws import Shape
from ponder.planning.costs import Price, PriceTable, costs_of, read_prices

PRICED = ModelInfo(fingerprint="m", usd_per_prompt_token=1e-6, usd_per_completion_token=4e-6)
USED = PRICED.price(Usage(calls=2, prompt_tokens=100, completion_tokens=50))  # as the meter books it


def test_dollars_follow_the_models_own_prices() -> None:
    assert costs_of({"policy": USED}, {"policy": PRICED})["usd"] == pytest.approx(100e-6 + 200e-6)


def test_a_unit_that_one_role_does_not_know_is_left_out() -> None:
    unknown = ModelInfo(fingerprint="other")
    judged = Usage(calls=1, prompt_tokens=9)
    assert "usd" not in costs_of({"policy": USED, "judge": judged}, {"policy": PRICED, "judge": unknown})
    assert costs_of({"judge": judged}, {}) == {}
    # A role that made no call takes nothing.
    assert "usd" in costs_of({"policy": USED, "judge": Usage()}, {"policy": PRICED, "judge": unknown})


def test_a_price_table_goes_before_the_models_own_prices() -> None:
    table = PriceTable({"openai:*": Price(prompt=10.0, completion=20.0, joules=0.5)})
    found = costs_of({"policy": USED}, {"policy": PRICED}, prices=table, names={"policy": "openai:x"})
    assert found["usd"] == pytest.approx((100 * 10 + 50 * 20) / 1e6)
    assert found["joules"] == pytest.approx(75)
    assert costs_of({"policy": USED}, {"policy": PRICED}, prices=table)["usd"] == pytest.approx(300e-6)


def test_flops_are_those_of_the_usage_and_energy_that_of_the_meter() -> None:
    used = Usage(calls=1, prompt_tokens=10, completion_tokens=5, flops=1e9)
    found = costs_of({"policy": used}, {"policy": ModelInfo(fingerprint="m")}, watts=50.0, seconds=2.0)
    assert found == {"flops": 1e9, "joules": 100.0}


def test_energy_follows_from_flops_where_the_hardware_is_declared() -> None:
    used = {"policy": Usage(calls=1, prompt_tokens=10, completion_tokens=5, flops=6e9)}

    def joules(**price: float) -> float | None:
        table = PriceTable({"*": Price(prompt=0.0, completion=0.0, **price)})
        return costs_of(used, {"policy": ModelInfo(fingerprint="m")}, prices=table).get("joules")

    assert joules(flops_per_joule=2e9) == 3.0
    assert joules(flops_per_joule=2e9, joules=0.1) == pytest.approx(1.5)  # measured per token goes first
    assert joules() is None
    unknown = {"policy": replace(used["policy"], flops=None)}
    table = PriceTable({"*": Price(prompt=0.0, completion=0.0, flops_per_joule=2e9)})
    assert "joules" not in costs_of(unknown, {"policy": ModelInfo(fingerprint="m")}, prices=table)
    with pytest.raises(ConfigError, match="above 0"):
        Price(prompt=0.0, completion=0.0, flops_per_joule=0.0)


SHAPED = with_shape(
    ModelInfo(fingerprint="s"), Shape(active=1000, layers=2, heads=4, kv_heads=2, head_size=4, parameters=1200)
)


def used(*calls: tuple[int, int]) -> Usage:
    """Return the usage of calls with so many prompt and completion tokens, as the meter adds it up."""
    each = (SHAPED.price(Usage(calls=1, prompt_tokens=p, completion_tokens=c)) for p, c in calls)
    return sum(each, Usage())


def eflops(*calls: tuple[int, int], intensity: float = 10.0) -> float:
    return costs_of({"policy": used(*calls)}, {"policy": SHAPED}, intensity=intensity)["eflops"]


@given(prompt=st.integers(0, 50), completions=st.lists(st.integers(0, 50), min_size=1, max_size=5))
def test_keys_and_values_read_are_exact_where_all_prompts_have_one_length(prompt: int, completions: list[int]) -> None:
    flops = math.fsum(SHAPED.flops(prompt, c) for c in completions)  # type: ignore[misc]
    attended = sum(prompt + t for c in completions for t in range(1, c + 1))
    wanted = flops + 10 * 4 * attended * 2 * 2 * 4
    assert eflops(*((prompt, c) for c in completions)) == pytest.approx(wanted / 1e12)
    assert eflops(*((prompt, c) for c in completions), intensity=0) == pytest.approx(flops / 1e12)


@given(calls=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5))
def test_prompts_of_several_lengths_give_an_upper_bound(calls: list[tuple[int, int]]) -> None:
    assert eflops(*calls) >= math.fsum(eflops(call) for call in calls) * (1 - 1e-9)


def test_flops_of_an_unknown_law_give_no_eflops() -> None:
    other = replace(SHAPED, flops=lambda prompt, completion: 1.0)
    found = costs_of({"policy": other.price(Usage(calls=1, prompt_tokens=3))}, {"policy": other})
    assert found == {"flops": 1.0}


def test_roles_of_two_models_add_up() -> None:
    once, twice = used((3, 4)), used((5, 6), (5, 7))
    both = costs_of({"policy": once, "judge": twice}, {"policy": SHAPED, "judge": SHAPED}, intensity=10.0)
    assert both["eflops"] == pytest.approx(eflops((3, 4)) + eflops((5, 6), (5, 7)))


def test_impossible_hardware_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        costs_of({"policy": USED}, {"policy": PRICED}, intensity=-1.0)
    with pytest.raises(ConfigError, match="at least 0"):
        costs_of({"policy": USED}, {"policy": PRICED}, watts=float("nan"), seconds=1.0)


def test_prices_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[prices."openai:*"]\nprompt = 1\ncompletion = 2.5\n')
    found = read_prices(file).find("openai:x")
    assert found is not None
    assert (found.prompt, found.completion, found.cached) == (1, 2.5, None)
    assert read_prices(file).find("other") is None


def test_cached_tokens_and_the_first_glob_that_matches_count() -> None:
    table = PriceTable({"a*": Price(prompt=10.0, cached=1.0, completion=0.0), "*": Price(prompt=2.0, completion=0.0)})
    read = Usage(calls=1, prompt_tokens=100, cached_tokens=90)

    def usd(name: str) -> float:
        return costs_of({"policy": read}, {}, prices=table, names={"policy": name})["usd"]

    assert usd("abc") == pytest.approx((10 * 10 + 90) / 1e6)
    assert usd("xyz") == pytest.approx(200 / 1e6)
    priced = table.priced(ModelInfo(fingerprint="x"), "abc")
    assert priced.usd(100, 0, 90) == pytest.approx((10 * 10 + 90) / 1e6)
    assert PriceTable({}).priced(PRICED, "abc") is PRICED


def test_wrong_prices_name_their_line(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('# ours\n[prices.a]\nprompt = 1\ncompletion = 1\n\n[prices."b*"]\nprompt = 1\ncompletion = "2"\n')
    with pytest.raises(ConfigError, match=r"prices\.toml:8: completion must be a number"):
        read_prices(file)
    file.write_text("[prices.a]\nprompt = 1\ncompletion = 1\n\n[prices.b]\nprompt = 1\n")
    with pytest.raises(ConfigError, match=r"prices\.toml:5: .*'completion'"):
        read_prices(file)


@pytest.mark.parametrize(
    "text",
    [
        "[prices.x]\nprompt = 1\n",
        "[prices.x]\nprompt = 1\ncompletion = -2\n",
        "[prices.x]\nprompt=1\ncompletion=1\nx=1\n",
        "[prices.x]\nprompt=1\ncompletion=1\nflops_per_joule=0\n",
        "prices = [",
    ],
)
def test_wrong_price_files_name_the_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises((BadInput, ConfigError), match=r"prices\.toml"):
        read_prices(file)
    with pytest.raises(BadInput, match="cannot be read"):
        read_prices(tmp_path / "none.toml")

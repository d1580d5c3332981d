from __future__ import annotations

from pathlib import Path

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import ModelInfo
from ponder.core.usage import Usage
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


@pytest.mark.parametrize(
    "text",
    [
        "[prices.x]\nprompt = 1\n",
        "[prices.x]\nprompt = 1\ncompletion = -2\n",
        "[prices.x]\nprompt=1\ncompletion=1\nx=1\n",
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

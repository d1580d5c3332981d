"""Models opened with a price table."""

from __future__ import annotations

from ponder.cli.inputs import open_model
from ponder.planning.costs import Price, PriceTable


async def test_a_price_table_goes_before_the_models_own_prices() -> None:
    table = PriceTable({"scripted:*": Price(prompt=1.0, completion=2.0)})
    priced, plain = open_model("scripted:a", prices=table), open_model("scripted:a")
    assert priced.info.usd(1_000_000, 1_000_000) == 3.0
    assert plain.info.usd(1, 1) is None
    assert priced.info.fingerprint == plain.info.fingerprint  # the same answers to the store
    assert (
        open_model("scripted:a", prices=PriceTable({"other:*": Price(prompt=1.0, completion=2.0)})).info == plain.info
    )
    await priced.close()
    await plain.close()

"""What a run cost in units that add up across models: FLOPs, eFLOPs, dollars and joules.

Tokens of two models cannot be added, these can. A unit appears only where it is known for every role that made a call;
what is unknown is left out and never 0.
Paper: eFLOPs are those of Sadhukhan et al. 2025, arXiv:2506.05333 (card 54), per call instead of per question: no
prompt is shared, as nominal usage wants it.
Differs: usage is a sum over calls, while attention grows with the square of each length; the sum of the squares is
found from the FLOPs, so that keys and values read are exact where all prompts of a role have one length, and an upper
bound elsewhere. FLOPs count prefill, which the paper's law leaves out.
Cost: constant time a role. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import fnmatch
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import ModelInfo
from ponder.core.usage import Usage
from ponder.numerics.cost_laws import INTENSITY, TransformerFlops

__all__ = ["Price", "PriceTable", "costs_of", "read_prices"]

_TERA = 1e-12
_MILLION = 1e6


@dataclass(frozen=True, kw_only=True)
class Price:
    """Prices of a model, in dollars per million tokens, and what a token takes in energy.

    Attributes:
        prompt: of a token read, >= 0.
        completion: of a token written, >= 0.
        cached: of a token served by a prefix cache, >= 0; None charges it as any other.
        joules: per token, read or written, >= 0; None where unknown.
        flops_per_joule: what the hardware computes with a joule, > 0, for a model whose FLOPs are known; used where
            there is nothing measured per token.
    """

    prompt: float
    completion: float
    cached: float | None = None
    joules: float | None = None
    flops_per_joule: float | None = None

    def __post_init__(self) -> None:
        for value in (self.prompt, self.completion, self.cached, self.joules, self.flops_per_joule):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"a price must be finite and at least 0, got {value!r}")
        if self.flops_per_joule == 0:
            raise ConfigError("flops_per_joule must be above 0: leave it out where it is not known")


@dataclass(frozen=True)
class PriceTable:
    """Prices by glob of model names; of several that match, the first counts."""

    prices: Mapping[str, Price]

    def find(self, model: str) -> Price | None:
        """Return the price of a model ("openai:gpt-x"), or None where no glob matches its name."""
        return next((price for glob, price in self.prices.items() if fnmatch.fnmatchcase(model, glob)), None)

    def priced(self, info: ModelInfo, model: str) -> ModelInfo:
        """Return `info` with the prices of `model`, or as it is where the table has none."""
        if (price := self.find(model)) is None:
            return info
        return replace(
            info,
            usd_per_prompt_token=price.prompt / _MILLION,
            usd_per_cached_token=None if price.cached is None else price.cached / _MILLION,
            usd_per_completion_token=price.completion / _MILLION,
        )


def costs_of(
    usage_by_role: Mapping[str, Usage],
    infos: Mapping[str, ModelInfo],
    *,
    intensity: float = INTENSITY,
    prices: PriceTable | None = None,
    names: Mapping[str, str] | None = None,
    watts: float | None = None,
    seconds: float | None = None,
) -> dict[str, float]:
    """Return what the usage of all roles costs together.

    Args:
        usage_by_role: summed over the calls of each role.
        infos: the model of each role; one that is missing is unknown.
        intensity: FLOPs of the hardware in the time of reading a byte, >= 0.
        prices: go before the prices in `infos`.
        names: the model's name by role, by which `prices` are looked up; by default its fingerprint.
        watts: power drawn; with `seconds` it gives joules, in place of those of the table.
        seconds: time taken by the whole run.

    Returns:
        Those of "flops", "eflops" (Tera-eFLOPs, as the paper has them: 1e12 each), "usd" and "joules" that are known
        for every role that made a call. Nothing for usage without any call.

    Raises:
        ConfigError: `intensity`, `watts` or `seconds` is below 0 or not finite.
    """
    for name, value in (("intensity", intensity), ("watts", watts), ("seconds", seconds)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} must be finite and at least 0, got {value!r}")
    known: dict[str, list[float | None]] = {"flops": [], "eflops": [], "usd": [], "joules": []}
    for role, usage in usage_by_role.items():
        if not usage.calls:
            continue
        info = infos.get(role) or ModelInfo(fingerprint="")
        price = None if prices is None else prices.find((names or {}).get(role, info.fingerprint))
        known["flops"].append(usage.flops)
        known["eflops"].append(_eflops(usage, info, intensity))
        known["usd"].append(_usd(usage, info, price))
        known["joules"].append(_joules(usage, price))
    costs = {unit: math.fsum(found) for unit, values in known.items() if (found := _all_known(values))}
    if known["flops"] and watts is not None and seconds is not None:
        costs["joules"] = watts * seconds
    return costs


def read_prices(file: Path | str) -> PriceTable:
    """Read tables `[prices."MODEL GLOB"]` from a TOML file; their keys are the attributes of `Price`.

    Raises:
        BadInput: the file cannot be read, or is no TOML.
        ConfigError: an unknown or missing key, or a value that is no price; file and line are named.
    """
    file = Path(file)
    try:
        text = file.read_bytes().decode()
        data = tomllib.loads(text)
    except OSError as err:
        raise BadInput(f"{file} cannot be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise BadInput(f"{file} is not UTF-8 (byte {err.start})") from err
    except tomllib.TOMLDecodeError as err:
        raise BadInput(f"{file}: {err}") from err
    tables = data.get("prices")
    if set(data) != {"prices"} or not isinstance(tables, dict):
        raise ConfigError(f'{file}: a price table has tables [prices."MODEL GLOB"] and nothing else')
    return PriceTable({glob: _price(glob, table, _Source(file, text)) for glob, table in tables.items()})


def _price(glob: str, table: object, source: _Source) -> Price:
    if not isinstance(table, dict):
        raise source.error(f"the prices of {glob!r} must be a table", glob)
    for key, value in table.items():
        if key not in _KEYS:
            raise source.error(f"{key!r} is not known here; a price has {', '.join(_KEYS)}", glob, key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
            raise source.error(f"{key} must be a number of at least 0, got {value!r}", glob, key)
    for key in ("prompt", "completion"):
        if key not in table:
            raise source.error(f"the prices of {glob!r} lack {key!r}", glob)
    try:
        return Price(**table)
    except ConfigError as err:
        raise source.error(str(err), glob, "flops_per_joule") from err


_KEYS = ("prompt", "completion", "cached", "joules", "flops_per_joule")


@dataclass(frozen=True)
class _Source:
    """The file, for naming lines in errors."""

    file: Path
    text: str

    def error(self, message: str, glob: str, key: str = "") -> ConfigError:
        lines = self.text.splitlines()
        head = next((at for at, line in enumerate(lines) if line.lstrip().startswith("[") and glob in line), 0)
        found = head
        if key:
            pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
            found = next((at for at, line in enumerate(lines) if at > head and pattern.match(line)), head)
        return ConfigError(f"{self.file}:{found + 1}: {message}")


def _eflops(usage: Usage, info: ModelInfo, intensity: float) -> float | None:
    """Return Tera-FLOPs and, on top, keys and values read (2 bytes an element) while writing."""
    law = info.flops
    if usage.flops is None or not isinstance(law, TransformerFlops):
        return None
    if not (info.layers and info.kv_heads and info.head_size):
        return None
    # Squares are convex: the mean length gives the least that reading the prompts can have attended to.
    prompts = usage.prompt_tokens * (usage.prompt_tokens / usage.calls + 1) / 2
    attended = max(0.0, law.attended(usage.flops, usage.tokens) - prompts)
    read = 4.0 * attended * info.layers * info.kv_heads * info.head_size
    return (usage.flops + intensity * read) * _TERA


def _usd(usage: Usage, info: ModelInfo, price: Price | None) -> float | None:
    if price is None:
        return usage.usd
    fresh, cached = usage.prompt_tokens - usage.cached_tokens, usage.cached_tokens
    served = price.prompt if price.cached is None else price.cached
    return (fresh * price.prompt + cached * served + usage.completion_tokens * price.completion) / _MILLION


def _joules(usage: Usage, price: Price | None) -> float | None:
    if price is None:
        return None
    if price.joules is not None:
        return price.joules * usage.tokens
    if price.flops_per_joule is None or usage.flops is None:
        return None
    return usage.flops / price.flops_per_joule


def _all_known(values: list[float | None]) -> list[float]:
    """Return the values if there are some and all are known, else none."""
    found = [value for value in values if value is not None]
    return found if len(found) == len(values) else []

"""Everything that a gateway is told when it starts, as frozen values; `settings_file.load_settings` reads them.

Source: our own (DESIGN §4). Nothing here opens a file, a socket or a model, so settings can be built, compared and
replaced at any time (a reload makes a second `Settings` and swaps it in).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ponder.core.budget import Budget
from ponder.core.errors import ConfigError

__all__ = [
    "Admission",
    "Contexts",
    "Counting",
    "Key",
    "Limits",
    "Price",
    "RequestRules",
    "Server",
    "Settings",
    "Stored",
    "Traces",
    "Upstream",
]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A model behind the gateway.

    Attributes:
        name: its name in the settings (roles refer to it).
        spec: how `ponder.load` opens it: "openai:URL#MODEL", "embedded", "scripted:...".
        serves: the model name that clients see; several upstreams with the same one are alternatives.
        priority: of alternatives the lowest number is asked first; equal ones in the order given.
        max_concurrent: requests in flight to it, >= 1.
        api_key_env: environment variable that holds its key; the key itself is never in the settings.
        kind: family of an `openai:` server (openai, vllm, sglang, llamacpp, ollama, compatible), which says what it
            can do (schemas, log-probabilities, seeds, several choices); "" guesses by the address.
    """

    name: str
    spec: str
    serves: str = ""
    priority: int = 0
    max_concurrent: int = 64
    api_key_env: str | None = None
    kind: str = ""

    def __post_init__(self) -> None:
        if not self.serves:
            object.__setattr__(self, "serves", self.name)
        _at_least("upstream max_concurrent", self.max_concurrent, 1)


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a model costs, in USD per million tokens.

    Attributes:
        prompt, completion: tokens read and written, >= 0.
        cached: prompt tokens that a prefix cache served; None bills them as `prompt`.
    """

    prompt: float
    completion: float
    cached: float | None = None

    def __post_init__(self) -> None:
        for name in ("prompt", "completion", "cached"):
            _at_least(f"price {name}", getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may pass in a window; None is no limit. Windows are calendar minutes, days and months in UTC.

    Attributes:
        usd_per_day, usd_per_month: money.
        tokens_per_day, tokens_per_month: prompt and completion tokens of all calls together, hidden ones included (a
            quota of traffic: tokens of different models are counted alike).
        requests_per_minute: requests of clients.
        max_running: requests of this key in progress at once.
    """

    usd_per_day: float | None = None
    usd_per_month: float | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    requests_per_minute: int | None = None
    max_running: int | None = None

    def __post_init__(self) -> None:
        for name in ("usd_per_day", "usd_per_month"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} must be above 0, got {value!r}; leave it out for no limit")
        for name in ("tokens_per_day", "tokens_per_month", "requests_per_minute", "max_running"):
            _at_least(name, getattr(self, name), 1)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Who may call.

    Attributes:
        name: what counters, traces and metrics show.
        hash: what `keys.hash_key` made of the key ("sha256:" and 64 hexadecimal digits); not shown by `repr`.
        limits: of this key alone; the global ones hold as well.
        methods, models: what it may ask for; None is everything.
        operator: on the page it sees the requests of all keys and the benches, and may change the policy.
    """

    name: str
    hash: str = field(repr=False)
    limits: Limits = field(default_factory=Limits)
    methods: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    operator: bool = False


@dataclass(frozen=True, kw_only=True)
class RequestRules:
    """What one request may ask for.

    Attributes:
        budget: used in each unit that the request leaves open.
        max_candidates: most completions that one request may buy (`n` and the width of methods), >= 1.
        max_body_bytes, max_image_bytes: sizes that are refused with 413.
        max_seconds: longest deadline, in seconds; requests without one get it.
        window_share: part of the smallest limited window, in (0, 1], that a request holds while it runs if neither it
            nor `budget` limits that unit: with 0.1, ten such requests can run at once.
    """

    budget: Budget = field(default_factory=Budget)
    max_candidates: int = 64
    max_body_bytes: int = 10_000_000
    max_image_bytes: int = 5_000_000
    max_seconds: float = 600.0
    window_share: float = 0.1

    def __post_init__(self) -> None:
        for name in ("max_candidates", "max_body_bytes", "max_image_bytes"):
            _at_least(name, getattr(self, name), 1)
        if not self.max_seconds > 0:
            raise ConfigError(f"max_seconds must be above 0, got {self.max_seconds!r}")
        if not 0 < self.window_share <= 1:
            raise ConfigError(f"window_share must be in (0, 1], got {self.window_share!r}")


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the gateway listens.

    Attributes:
        host, port: address; anything but loopback needs keys.
        cors_origins: origins whose pages may call; none by default.
        progress: how a stream says that work goes on before the answer is chosen.
        page: whether the page is served at `/`.
        benches: folder of recorded benches and policies that the page shows; None shows none.
    """

    host: str = "127.0.0.1"
    port: int = 8321
    cors_origins: tuple[str, ...] = ()
    progress: Literal["reasoning", "comments"] = "comments"
    page: bool = True
    benches: str | None = None

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in _LOOPBACK


@dataclass(frozen=True, kw_only=True)
class Admission:
    """How many requests are in the house.

    Attributes:
        max_running: in progress at once, >= 1.
        max_waiting: waiting for a place, of all keys together; more are refused with 429.
        max_running_per_key, max_waiting_per_key: the same for each key; `Limits.max_running` of a key goes before the
            first.
    """

    max_running: int = 256
    max_waiting: int = 1024
    max_running_per_key: int | None = None
    max_waiting_per_key: int | None = None

    def __post_init__(self) -> None:
        _at_least("max_running", self.max_running, 1)
        _at_least("max_running_per_key", self.max_running_per_key, 1)
        _at_least("max_waiting", self.max_waiting, 0)
        _at_least("max_waiting_per_key", self.max_waiting_per_key, 0)


@dataclass(frozen=True, kw_only=True)
class Traces:
    """What is kept of each request.

    Attributes:
        file: SQLite file; None keeps no traces.
        days: oldest trace kept, in days; None is for ever.
        rows: most traces kept; None is all.
        texts: False keeps no prompt, answer, critique or any other text, only numbers and names.
        otel_endpoint: URL of an OTLP collector (".../v1/traces"); None exports nothing.
    """

    file: str | None = None
    days: float | None = 30.0
    rows: int | None = 100_000
    texts: bool = True
    otel_endpoint: str | None = None

    def __post_init__(self) -> None:
        _at_least("rows", self.rows, 1)
        if self.days is not None and not self.days > 0:
            raise ConfigError(f"days must be above 0, got {self.days!r}")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The response store, for requests that ask for it (`ponder.store`).

    Attributes:
        file: SQLite file; ":memory:" writes no text anywhere and ends with the process; None keeps no answers.
        hours: time to live, in hours; None is for ever.
        shared: whether all keys are served from one another's answers; by default each has its own.
    """

    file: str | None = None
    hours: float | None = 24.0
    shared: bool = False

    def __post_init__(self) -> None:
        if self.hours is not None and not self.hours > 0:
            raise ConfigError(f"hours must be above 0, got {self.hours!r}")


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """Contexts that clients name (`ponder.context_id`), with the notes that `sleep_time` made about them.

    Attributes:
        folder: holds a file for each key; None keeps no contexts.
        days: oldest context kept, in days, > 0; None is for ever.
        rows: most notes kept for a key, >= 1; None is all.
    """

    folder: str | None = None
    days: float | None = 30.0
    rows: int | None = 1000

    def __post_init__(self) -> None:
        _at_least("rows", self.rows, 1)
        if self.days is not None and not self.days > 0:
            raise ConfigError(f"days must be above 0, got {self.days!r}")


@dataclass(frozen=True, kw_only=True)
class Counting:
    """Where counters live.

    Attributes:
        url: a path (SQLite), ":memory:" (lost at the end), "redis://..." or "postgresql://..." (shared by replicas).
            Not shown by `repr`, since it may hold a password.
    """

    url: str = field(default=":memory:", repr=False)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a gateway.

    Attributes:
        upstreams: models, at least one; names are unique.
        roles: role ("judge", "prm", "critic", ...) -> name of the upstream that plays it.
        prices: model name as clients see it -> price.
        keys: none means that everyone who can connect may call.
        limits: of all keys together.
        default_method: used where a request names none.
        policy: file of a tuned policy for `auto`.
        request, server, admission, traces, store, contexts, counters: see there.
    """

    upstreams: tuple[Upstream, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    keys: tuple[Key, ...] = ()
    limits: Limits = field(default_factory=Limits)
    default_method: str = "auto"
    policy: str | None = None
    request: RequestRules = field(default_factory=RequestRules)
    server: Server = field(default_factory=Server)
    admission: Admission = field(default_factory=Admission)
    traces: Traces = field(default_factory=Traces)
    store: Stored = field(default_factory=Stored)
    contexts: Contexts = field(default_factory=Contexts)
    counters: Counting = field(default_factory=Counting)

    def __post_init__(self) -> None:
        for what, values in (
            ("upstream", [upstream.name for upstream in self.upstreams]),
            ("key", [key.name for key in self.keys]),
        ):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ConfigError(f"two entries have the {what} {twice!r}")
        owners: dict[str, str] = {}
        for key in self.keys:
            if (other := owners.setdefault(key.hash, key.name)) != key.name:
                raise ConfigError(f"the keys {other!r} and {key.name!r} have the same hash; each client needs its own")
        if not self.server.loopback and not self.keys:
            raise ConfigError(
                f"host {self.server.host!r} can be reached from outside, so keys are needed; `ponder keys` makes one"
            )

    def alternatives(self, serves: str) -> tuple[Upstream, ...]:
        """Return the upstreams behind a public model name, the one to ask first in front; none for unknown names."""
        found = [upstream for upstream in self.upstreams if upstream.serves == serves]
        return tuple(sorted(found, key=lambda upstream: upstream.priority))

    @property
    def models(self) -> tuple[str, ...]:
        """Public model names, each once, in the order of the settings."""
        return tuple(dict.fromkeys(upstream.serves for upstream in self.upstreams))


def _at_least(name: str, value: float | None, least: int) -> None:
    if value is not None and not value >= least:
        raise ConfigError(f"{name} must be at least {least}, got {value!r}")

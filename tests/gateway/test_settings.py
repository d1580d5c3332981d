"""Settings as values, and the file they are read from: each error names its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ponder.core.budget import Budget
from ponder.core.errors import BadInput, ConfigError
from ponder.gateway.keys import hash_key
from ponder.gateway.settings import (
    Admission,
    Contexts,
    Counting,
    Key,
    Limits,
    Price,
    RequestRules,
    Server,
    Settings,
    Traces,
    Upstream,
)
from ponder.gateway.settings_file import load_settings

HASH = hash_key("ponder-test")
LEAST = '[upstreams.local]\nspec = "scripted:x"\n'
WHOLE = f"""
default_method = "best_of_n"   # line 2
policy = "policy.json"

[upstreams.local]
spec = "openai:http://127.0.0.1:8000/v1#Qwen/Qwen3-8B"
serves = "qwen"
priority = 2

[upstreams."spare one"]
spec = "scripted:x"
serves = "qwen"
api_key_env = "SPARE_KEY"

[roles]
judge = "local"

[prices.qwen]
prompt = 1
completion = 2.5

[keys.alice]
hash = "{HASH}"
methods = [
    "single",  # a list over several lines
    "best_of_n",
]
limits = {{ usd_per_day = 5, tokens_per_month = 20_000_000 }}

[limits]
requests_per_minute = 600

[request]
max_candidates = 16
budget = {{ calls = 8, usd = 0.5 }}

[server]
host = "0.0.0.0"
progress = "reasoning"
cors_origins = ["https://a.example"]

[admission]
max_running = 8

[traces]
file = "traces.sqlite"
texts = false

[contexts]
folder = "contexts"
days = 7

[counters]
url = "redis://localhost/1"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "ponder.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_whole_file_becomes_settings(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, WHOLE)) == Settings(
        upstreams=(
            Upstream(name="local", spec="openai:http://127.0.0.1:8000/v1#Qwen/Qwen3-8B", serves="qwen", priority=2),
            Upstream(name="spare one", spec="scripted:x", serves="qwen", api_key_env="SPARE_KEY"),
        ),
        roles={"judge": "local"},
        prices={"qwen": Price(prompt=1.0, completion=2.5)},
        keys=(
            Key(
                name="alice",
                hash=HASH,
                limits=Limits(usd_per_day=5.0, tokens_per_month=20_000_000),
                methods=("single", "best_of_n"),
            ),
        ),
        limits=Limits(requests_per_minute=600),
        default_method="best_of_n",
        policy=str(tmp_path / "policy.json"),
        request=RequestRules(max_candidates=16, budget=Budget(calls=8, usd=0.5)),
        server=Server(host="0.0.0.0", progress="reasoning", cors_origins=("https://a.example",)),
        admission=Admission(max_running=8),
        traces=Traces(file=str(tmp_path / "traces.sqlite"), texts=False),
        contexts=Contexts(folder=str(tmp_path / "contexts"), days=7.0),
        counters=Counting(url="redis://localhost/1"),
    )


def test_the_least_file_is_one_upstream(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, LEAST))
    assert settings == Settings(upstreams=(Upstream(name="local", spec="scripted:x", serves="local"),))
    assert settings.server.loopback
    assert settings.keys == ()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (LEAST + 'defualt_method = "auto"\n', 3, "in [upstreams.local]"),
        ("defualt_method = 'auto'\n" + LEAST, 1, "'default_method'"),
        ("\n[upstreems.x]\nspec = 'scripted:x'\n", 2, "'upstreams'"),
        (LEAST + "[server]\n\nprot = 80\n", 5, "'port'"),
        (LEAST + "[server]\nport = '80'\n", 4, "port must be a whole number, not a text"),
        (LEAST + "[server]\nprogress = 'coments'\n", 4, "'comments'"),
        (LEAST + "[server]\ncors_origins = 'x'\n", 4, "a list of texts"),
        (LEAST + "[server]\nhost = '0.0.0.0'\n", 4, "ponder keys"),
        (LEAST + "[keys.a]\nlimits = {}\n", 3, "needs hash"),
        (LEAST + f"[keys.a]\nhash = '{HASH[:-1]}'\n", 4, "64 hexadecimal digits"),
        (LEAST + f"[keys.a]\nhash = '{HASH}'\nmethods = [\n'best_of_m']\n", 5, "'best_of_n'"),
        (LEAST + f"[keys.a]\nhash = '{HASH}'\nmodels = ['locla']\n", 5, "'local'"),
        (LEAST + f"[keys.a]\nhash = '{HASH}'\n[keys.b]\nhash = '{HASH}'\n", 6, "the hash of 'a'"),
        (LEAST + f"[keys.a]\nhash = '{HASH}'\n[keys.a.limits]\ntokens_per_dya = 1\n", 6, "'tokens_per_day'"),
        (LEAST + f"[keys.a]\nhash = '{HASH}'\n[keys.a.limits]\ntokens_per_day = 0\n", 6, "at least 1"),
        (LEAST + f"[keys.a]\nhash = '{HASH}'\n[keys.a.limits]\nusd_per_day = 1\n", 6, "[prices.local]"),
        (LEAST + f"[keys.a]\nhash = '{HASH}'\nlimits = {{usd_per_day = 1}}\n", 5, "[prices.local]"),
        (LEAST + "[keys]\na = 'x'\n", 4, "[keys.NAME]"),
        (LEAST + "[roles]\njudge = 'lcoal'\n", 4, "'local'"),
        (LEAST + "[prices.lcoal]\nprompt = 1\ncompletion = 1\n", 3, "'local'"),
        (LEAST + "[prices.local]\nprompt = -1\ncompletion = 1\n", 4, "at least 0"),
        (LEAST + "[prices.local]\nprompt = 1\n", 3, "needs completion"),
        (LEAST + "[request.budget]\ncalls = 0\n", 4, "positive"),
        (LEAST + "[request]\nbudget = { cals = 1 }\n", 4, "'calls'"),
        (LEAST + "[request]\nbudget = 4\n", 4, "budget must be a table"),
        (LEAST + "[traces]\ntexts = 'no'\n", 4, "true or false"),
        (LEAST + "[contexts]\nfile = 'x'\n", 4, "'folder'"),
        (LEAST + "[contexts]\ndays = 0\n", 4, "days must be above 0"),
        (LEAST + "[contexts]\nrows = 0\n", 4, "rows must be at least 1"),
        ("[upstreams.x]\nspec = 'opnai:y'\n", 2, "'openai'"),
        ("[upstreams.x]\nspec = 'openai:'\n", 2, "BACKEND:NAME"),
        ("[upstreams.x]\nserves = 'y'\n", 1, "needs spec"),
        ("default_method = 'best_of_m'\n" + LEAST, 1, "'best_of_n'"),
        ("# nothing\n", 1, "no upstream"),
        (LEAST + "x = \n", 3, "Invalid value"),
        (LEAST + '[roles]\n"a', 4, "nterminated|Expected|Unterminated|Illegal|xpected|nclosed"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(BadInput) as caught:
        load_settings(file)
    message = str(caught.value)
    assert message.startswith(f"{file}:{line}: ")
    assert "\n" not in message
    if "|" in what:
        assert any(part in message for part in what.split("|"))
    else:
        assert what.lower() in message.lower()


@pytest.mark.parametrize(
    "text",
    [
        LEAST + "[keys.a]\nkey = 'ponder-hidden-secret'\n",
        LEAST + "[keys.a]\nhash = 'ponder-hidden-secret'\n",
        "[upstreams.x]\nspec = 'scripted:x'\napi_key = 'ponder-hidden-secret'\n",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_settings(write(tmp_path, text))
    assert "hidden-secret" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot be read: No such file"):
        load_settings(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(BadInput, match=r"not UTF-8 \(byte 5\)"):
        load_settings(tmp_path / "x.toml")


def test_reading_again_gives_the_same_and_leaves_the_first(tmp_path: Path) -> None:
    first = load_settings(write(tmp_path, WHOLE))
    assert load_settings(tmp_path / "ponder.toml") == first
    write(tmp_path, LEAST)
    assert load_settings(tmp_path / "ponder.toml") != first


def test_paths_count_from_the_file(tmp_path: Path) -> None:
    settings = load_settings(
        write(tmp_path, LEAST + "[counters]\nurl = 'c.sqlite'\n[traces]\nfile = '/var/t.sqlite'\n")
    )
    assert settings.counters.url == str(tmp_path / "c.sqlite")
    assert settings.traces.file == "/var/t.sqlite"
    assert load_settings(write(tmp_path, LEAST)).counters.url == ":memory:"


def test_alternatives_are_ordered_by_priority_and_then_as_given() -> None:
    spec = "scripted:x"
    ups = [
        Upstream(name=n, spec=spec, serves=s, priority=p) for n, s, p in [("a", "m", 1), ("b", "m", 0), ("c", "n", 0)]
    ]
    ups.append(Upstream(name="d", spec=spec, serves="m", priority=0))
    settings = Settings(upstreams=tuple(ups))
    assert [upstream.name for upstream in settings.alternatives("m")] == ["b", "d", "a"]
    assert settings.alternatives("unknown") == ()
    assert settings.models == ("m", "n")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "example.org", "::"])
def test_outside_addresses_need_keys(host: str) -> None:
    with pytest.raises(ConfigError, match="keys are needed"):
        Settings(server=Server(host=host))
    assert Settings(server=Server(host=host), keys=(Key(name="a", hash=HASH),)).keys


def test_two_keys_with_one_hash_are_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match="'a' and 'b'") as caught:
        Settings(keys=(Key(name="a", hash=HASH), Key(name="b", hash=HASH)))
    assert HASH not in str(caught.value)


def test_nothing_secret_in_repr() -> None:
    settings = Settings(keys=(Key(name="a", hash=HASH),))
    assert HASH not in repr(settings)
    assert "alice:pw" not in repr(Settings(counters=Counting(url="redis://alice:pw@h/0")))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Limits(usd_per_day=0),
        lambda: Limits(usd_per_day=float("nan")),
        lambda: Limits(tokens_per_day=0),
        lambda: Admission(max_running=0),
        lambda: Admission(max_waiting=-1),
        lambda: RequestRules(window_share=0),
        lambda: RequestRules(max_seconds=0),
        lambda: Traces(days=0),
        lambda: Price(prompt=-1, completion=0),
        lambda: Settings(upstreams=(Upstream(name="a", spec="x"), Upstream(name="a", spec="y"))),
    ],
)
def test_values_that_make_no_sense(make: object) -> None:
    with pytest.raises(ConfigError):
        make()  # type: ignore[operator]

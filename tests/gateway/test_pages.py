"""What the page asks for: files with their headers, trees and reasons, whose traces one sees, traffic, policies."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import registry
from ponder.core.errors import PonderError
from ponder.core.model import Model, Request
from ponder.core.solve import solve
from ponder.core.task import Message, Task
from ponder.core.trace import Event, Trace
from ponder.gateway.keys import hash_key, make_key
from ponder.gateway.pages.reports import in_process
from ponder.gateway.pages.router import POLICY
from ponder.gateway.pages.tree import tree_of
from ponder.gateway.redact import without_texts
from ponder.gateway.settings import Key, Server, Traces
from ponder.gateway.settings_file import load_settings
from ponder.models.scripted import ScriptedModel
from ponder.planning.policy import load_policy
from ponder.web.assets import assets
from tests.gateway.house import Address, chat, events, scripted, serving
from tests.web.browser import EVIL, house, judge, policy, recorded_bench, solver

RUNS = "/ponder/runs"


async def traced(method: str, model: Model, verifier: str = "", *, answer: str = "number", **settings: Any) -> Any:
    """Run a method, and return the tree of its trace."""
    trace = Trace()
    result = await solve(
        Task(messages=(Message("user", "What is 17 × 24?"),), answer=answer),
        model=model,
        method=registry.strategies.get(method).make(**settings),
        verifier=registry.verifiers.get(verifier).make() if verifier else None,
        roles={"judge": judge(), "critic": judge()},
        seed=1,
        trace=trace,
    )
    return tree_of(trace.events, result.to_json()), trace.events, result


def header(at: Address, name: str) -> str:
    """Return a header of the last reply, whatever its case."""
    return {known.lower(): value for known, value in at.headers.items()}[name]


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(one for child in node["children"] for one in walk(child))]


def of(tree: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [node for node in walk(tree) if node["kind"] == kind]


# -- trees ---------------------------------------------------------------------------------------------------------


async def test_scores_say_why_a_sample_lost() -> None:
    tree, _, _ = await traced("best_of_n", solver(latency=0), "judge", n=4)
    answers = of(tree, "answer")
    assert [node["state"] for node in answers] == ["chosen", "lost", "lost", "lost"]
    assert [node["answer"] for node in answers] == ["408", "398", "408", "41"]
    assert answers[0]["why"] == ""
    assert answers[1]["why"].startswith("Its score is lower: judge 2, the chosen one judge 9.")
    assert "the same as the chosen one's" in answers[2]["why"]
    assert all(node["children"][0]["label"] == f"judge {at}" for at, node in enumerate(answers))
    (choice,) = of(tree, "choice")
    assert ["votes for 408", "2"] in choice["facts"]


async def test_votes_say_why_a_sample_lost() -> None:
    tree, _, _ = await traced("self_consistency", solver(latency=0), n=4, early_stop="none")
    whys = [node["why"] for node in of(tree, "answer")]
    assert whys == [
        "",
        "Its answer came out once of 4; the chosen answer 2 times.",
        "It has the same answer as the chosen one, so it counted for it.",
        "Its answer came out once of 4; the chosen answer 2 times.",
    ]


async def test_a_failed_call_says_so_and_never_lost_by_its_score() -> None:
    tree, _, _ = await traced("self_consistency", solver(latency=0, fail_every=2), n=4, early_stop="none")
    failed = [node for node in of(tree, "answer") if node["state"] == "failed"]
    assert len(failed) == 2
    assert all(node["why"].startswith("The call failed: ") for node in failed)


async def test_steps_of_a_search_hang_below_each_other_with_what_became_of_them() -> None:
    def step(request: Request, number: int) -> str:
        if request.prefix and request.prefix.count("\n") >= 1:
            return f"so it is \\boxed{{{400 + number % 3}}}"
        return f"thought {number % 5}\n"

    def score(request: Request, number: int) -> str:
        return f"Score: {1 + number % 9}"

    trace = Trace()
    task = Task(messages=(Message("user", "?"),), answer="math")
    result = await solve(
        task,
        model=ScriptedModel(replies=step),
        method=registry.strategies.get("beam_search").make(n=4, branch=2, depth=4),
        verifier=registry.verifiers.get("judge").make(),
        roles={"judge": ScriptedModel(replies=score)},
        seed=1,
        trace=trace,
    )
    tree = tree_of(trace.events, result.to_json())
    steps = of(tree, "step")
    told = {tuple(e.data["node"]) for e in trace.events if e.kind in ("step", "dropped")}
    assert len(steps) == len(told)
    assert len(of(tree, "answer")) == 0
    for node in steps:
        for child in (child for child in node["children"] if child["kind"] == "step"):
            assert child["label"].startswith(node["label"] + ".")
        assert node["state"] in ("chosen", "lost", "pruned")
        assert (node["why"] == "") == (node["state"] == "chosen")
    chosen = [node for node in steps if node["state"] == "chosen"]
    assert "".join("".join(node["text"].split()) for node in chosen) == "".join(result.text.split())
    judged = [[child for child in node["children"] if child["kind"] == "call"] for node in steps]
    assert all(len(calls) == 1 for calls in judged)
    for node, (call,) in zip(steps, judged, strict=True):  # each by what the judge said of this very step
        assert node["scores"] == [f"judge {call['text'].removeprefix('Score: ')}"]
    pruned = [node for node in steps if node["state"] == "pruned"]
    assert any("did not go on from it" in node["why"] or "Dropped" in node["why"] for node in pruned)


async def test_rewritings_hang_below_what_they_rewrite() -> None:
    tree, _, _ = await traced("critique_refine", solver(latency=0))
    chains = [node for node in tree["children"] if node["kind"] == "answer"]
    assert chains
    assert all(node["label"].startswith("sample ") for node in chains)
    assert all(node["label"].startswith("refine ") for node in of(tree, "answer") if node not in chains)


@pytest.mark.parametrize("name", registry.strategies.names())
async def test_any_method_has_a_tree_that_keeps_every_call(name: str) -> None:
    entry = registry.strategies.get(name)
    try:
        needs = "judge" if "verifier" in entry.needs else ""
        _, seen, result = await traced(name, solver(latency=0), needs)
    except PonderError as err:  # a method that cannot run on this model at its defaults
        pytest.skip(f"exempt: {name} does not run on a scripted model: {err}")
    tree = tree_of(seen, result.to_json())
    calls = sum(event.kind == "call" and event.phase == "open" for event in seen)
    drawn = [node for node in walk(tree) if any(fact[0] == "role" for fact in node["facts"])]
    if not any("more are in the trace" in node["label"] for node in walk(tree)):
        assert len(drawn) == calls
    json.dumps(tree, allow_nan=False)
    # without texts it still has its shape
    hidden = [Event(e.id, e.parent, e.t, e.kind, e.phase, without_texts(e.data)) for e in seen]
    bare = tree_of(hidden, without_texts(result.to_json()))
    assert "408" not in json.dumps([node["text"] for node in walk(bare)])


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.text(max_size=5) | st.just("sample"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.lists(
        st.builds(
            Event,
            st.integers(1, 6),
            st.integers(0, 6),
            st.floats(0, 9),
            st.sampled_from(["run", "call", "choose", "odd", "left_out", "commit"]),
            st.sampled_from(["open", "close", "instant"]),
            st.dictionaries(
                st.sampled_from(["index", "text", "answer", "path", "stopped", "why"]), _VALUES, max_size=4
            ),
        ).filter(lambda e: e.parent < e.id and isinstance(e.data.get("path", []), list)),
        max_size=12,
    )
)
def test_any_events_make_a_tree(found: list[Event]) -> None:
    tree = json.loads(json.dumps(tree_of(found)))
    assert all(isinstance(node["label"], str) and isinstance(node["children"], list) for node in walk(tree))
    assert found == [] or tree["kind"] != "trace" or len(tree["children"]) != 1


# -- the page's files ----------------------------------------------------------------------------------------------


async def test_files_come_with_a_strict_policy_and_are_not_sent_twice() -> None:
    async with serving(scripted(), {"m": solver()}) as at:
        for path, name in [("/", "index.html"), *((f"/assets/{name}", name) for name in assets())]:
            status, text = await at.get(path)
            assert status == 200
            assert text.encode() == assets()[name].body
            assert header(at, "content-security-policy") == POLICY
            assert header(at, "x-content-type-options") == "nosniff"
            status, text = await at.get(path, headers={"If-None-Match": header(at, "etag")})
            assert (status, text) == (304, "")
        for path in ("/assets/../settings.py", "/assets/none.js", "/assets/%2e%2e/assets.py", "/assets/"):
            status, _ = await at.get(path)
            assert status == 404
    assert "unsafe" not in POLICY
    assert "*" not in POLICY


async def test_the_page_can_be_left_out() -> None:
    async with serving(scripted(server=Server(page=False)), {"m": solver()}) as at:
        for path in ("/", "/ponder/state", "/assets/app.js"):
            status, _ = await at.get(path)
            assert status == 404


# -- runs ----------------------------------------------------------------------------------------------------------


async def test_a_run_is_followed_and_its_trace_is_there(tmp_path: Path) -> None:
    async with serving(house(tmp_path), {"m": solver(latency=0), "j": judge()}) as at:
        body = chat("best_of_n@m", "17 × 24?", ponder={"params": {"n": 4}, "answer": "number"})
        async with at.session.post(at.url + RUNS, json=body) as reply:
            told = events(await reply.read())
        assert set(told[0]) == {"run", "method", "model"}
        kinds = [message["event"]["kind"] for message in told if "event" in message]
        assert kinds.count("score") == 4
        done = told[-1]["done"]
        assert done["answer"] == "408"
        assert [one["answer"] for one in done["list"]] == ["408", "398", "408", "41"]
        assert done["usage"]["ponder"]["calls"] == 8
        status, text = await at.get(f"/ponder/traces/{told[0]['run']}")
        found = json.loads(text)
        assert status == 200
        assert [node["state"] for node in of(found["tree"], "answer")] == ["chosen", "lost", "lost", "lost"]
        assert EVIL in json.dumps(found).replace('\\"', '"')
        assert header(at, "cache-control") == "no-store"
        status, text = await at.get("/ponder/traces?limit=1")
        assert [row["id"] for row in json.loads(text)["rows"]] == [told[0]["run"]]
        status, text = await at.get("/ponder/traffic?hours=1")
        found = json.loads(text)
        assert sum(one["requests"] for one in found["bins"]) == 1
        assert found["lines"][0]["tokens"] == sum(one["tokens"] for one in found["bins"])


async def test_savings_of_auto_are_what_it_spent_at_the_rate_of_the_evidence(tmp_path: Path) -> None:
    """The evidence: 300 tokens a question against 600 of a fixed method, ratio 0.5 in [0.4, 0.6]."""
    settings = house(tmp_path)
    async with serving(settings, {"m": solver(latency=0), "j": judge()}) as at:
        found = json.loads((await at.get("/ponder/traffic"))[1])["auto"]
        assert found["saved"] is None  # nobody asked it
        for name in ("auto@m", "auto@m", "greedy@m"):
            assert (await at.chat(name, "What is 17 × 24?"))[0] == 200
        body = json.loads((await at.get("/ponder/traffic"))[1])
        found = body["auto"]
        spent = sum(line["tokens"] for line in body["lines"] if line["method"] == "auto")
        assert (found["saved"]["requests"], found["saved"]["spent"]) == (2, spent)
        assert found["saved"]["saved"] == pytest.approx([spent, spent * 2 / 3, spent * 1.5])
        assert (found["evidence"]["against"], found["evidence"]["fixed"]) == ("fixed", 600.0)
        # A policy that is activated now has saved nothing yet, and is held against the method that is as accurate.
        later = policy(4)
        held = {**later.evidence["held_out"], "equal_accuracy": {"cost": 240.0, "ratio": [1.25, 1.0, 1.5]}}
        replace(later, evidence={**later.evidence, "held_out": held}).save(tmp_path / "policy.json")
        found = json.loads((await at.get("/ponder/traffic"))[1])["auto"]
        assert (found["saved"], found["evidence"]["against"]) == (None, "equal_accuracy")
        assert (await at.chat("auto@m", "What is 17 × 24?"))[0] == 200
        saved = json.loads((await at.get("/ponder/traffic"))[1])["auto"]["saved"]
        assert saved["saved"] == pytest.approx([-0.2 * saved["spent"], -saved["spent"] / 3, 0.0])


@pytest.mark.parametrize("ratio", [None, [], [0.0, 0.0, 0.0], [0.5, 0.6, 0.4], ["x", "y", "z"]])
async def test_evidence_that_cannot_be_read_claims_nothing(tmp_path: Path, ratio: Any) -> None:
    settings = house(tmp_path)
    made = policy(3)
    held = {**made.evidence["held_out"], "fixed": {"cost": 600.0, "ratio": ratio}}
    replace(made, evidence={"held_out": held}).save(tmp_path / "policy.json")
    async with serving(settings, {"m": solver(latency=0), "j": judge()}) as at:
        assert (await at.chat("auto@m", "?"))[0] == 200
        found = json.loads((await at.get("/ponder/traffic"))[1])["auto"]
        assert (found["evidence"], found["saved"]) == (None, None)
        assert found["here"][0]["requests"] == 1


async def test_an_impossible_run_says_what_is_wrong(tmp_path: Path) -> None:
    async with serving(house(tmp_path), {"m": solver(), "j": judge()}) as at:
        status, body = await at.post(RUNS, chat("best_of_m@m"))
        assert status == 400
        assert "best_of_n" in body["error"]["message"]
        async with at.session.post(
            at.url + RUNS, json=chat("m", ponder={"budget": {"calls": 1, "tokens": 1}})
        ) as reply:
            told = events(await reply.read())
        assert "budget" in told[-1]["error"]["message"]


async def cancelled(at: Address, body: Any, **headers: str) -> tuple[int, Any]:
    """Begin a run, stop it once a call has ended, and return the status of that and the last message."""
    async with at.session.post(at.url + RUNS, json=body, headers=headers) as reply:
        status, run, told = 0, "", b""
        async for line in reply.content:
            told += line
            if not run and line.startswith(b'data: {"run"'):
                run = json.loads(line[6:])["run"]
            if not status and b'"phase":"close"' in line:
                async with at.session.post(f"{at.url}{RUNS}/{run}/cancel", headers=headers) as stopped:
                    status = stopped.status
    return status, events(told)[-1]


async def test_a_cancelled_run_ends_with_its_best_so_far(tmp_path: Path) -> None:
    model = solver(latency=(0.01, 2.0))
    async with serving(house(tmp_path), {"m": model, "j": judge()}) as at:
        body = chat("self_consistency@m", ponder={"params": {"n": 8, "early_stop": "none"}, "answer": "number"})
        status, last = await cancelled(at, body)
        assert status == 200
        assert last["done"]["stopped"] == "cancelled"
        assert "the page stopped it" in last["done"]["detail"]
        assert last["done"]["answer"] is not None
        status, _ = await at.post(f"{RUNS}/{last['done']['trace']}/cancel", {})
        assert status == 404


async def test_a_page_that_goes_away_ends_its_run(tmp_path: Path) -> None:
    model = solver(latency=5.0)
    async with serving(house(tmp_path), {"m": model, "j": judge()}) as at:
        async with at.session.post(at.url + RUNS, json=chat("self_consistency@m")) as reply:
            while not model.calls:
                await reply.content.readline()
        async with asyncio.timeout(3):
            while at.gateway.admission.running:  # noqa: ASYNC110 - seen from outside only
                await asyncio.sleep(0.01)
        assert model.cancelled > 0


# -- who sees what -------------------------------------------------------------------------------------------------


async def test_a_key_sees_its_own_and_an_operator_sees_all(tmp_path: Path) -> None:
    words = {name: make_key() for name in ("one", "two", "boss")}
    keys = tuple(Key(name=n, hash=hash_key(w), operator=n == "boss") for n, w in words.items())
    headers = {name: {"Authorization": f"Bearer {word}"} for name, word in words.items()}
    async with serving(house(tmp_path, keys=keys), {"m": solver(latency=0), "j": judge()}) as at:
        status, _ = await at.get("/")
        assert status == 200
        for path in ("state", "traces", "traces/x", "traffic", "catalogue", "benches", "benches/one"):
            status, _ = await at.get(f"/ponder/{path}")
            assert status == 401, path
        for path in ("runs", "runs/x/cancel", "policy", "tree"):
            status, _ = await at.post(f"/ponder/{path}", {})
            assert status == 401, path
        await at.post("/v1/chat/completions", chat("greedy@m"), headers=headers["one"])
        trace = at.headers["x-ponder-trace"]
        seen = {}
        for name in words:
            _, text = await at.get("/ponder/traces", headers=headers[name])
            seen[name] = len(json.loads(text)["rows"])
            status, _ = await at.get(f"/ponder/traces/{trace}", headers=headers[name])
            assert status == (404 if name == "two" else 200)
            _, text = await at.get("/ponder/traffic", headers=headers[name])
            assert sum(line["requests"] for line in json.loads(text)["lines"]) == seen[name]
            status, _ = await at.get("/ponder/benches", headers=headers[name])
            assert status == (200 if name == "boss" else 403)
            status, _ = await at.post("/ponder/policy", {"roll_back": True}, headers=headers[name])
            assert status == (400 if name == "boss" else 403)  # there is none to go back to
        assert seen == {"one": 1, "two": 0, "boss": 1}
        _, text = await at.get("/ponder/traces?key=two", headers=headers["one"])
        assert len(json.loads(text)["rows"]) == 1  # whatever it asks for


async def test_only_its_owner_or_an_operator_stops_a_run(tmp_path: Path) -> None:
    words = {name: make_key() for name in ("one", "two")}
    keys = tuple(Key(name=n, hash=hash_key(w)) for n, w in words.items())
    async with serving(house(tmp_path, keys=keys), {"m": solver(latency=0.3), "j": judge()}) as at:
        mine = {"Authorization": f"Bearer {words['one']}"}
        other = {"Authorization": f"Bearer {words['two']}"}
        async with at.session.post(at.url + RUNS, json=chat("greedy@m"), headers=mine) as reply:
            run = json.loads((await reply.content.readuntil(b"\n\n"))[6:])["run"]
            status, _ = await at.post(f"{RUNS}/{run}/cancel", {}, headers=other)
            assert status == 404
            assert "done" in events(await reply.read())[-1]


async def test_pages_of_other_sites_may_not_change_anything(tmp_path: Path) -> None:
    async with serving(house(tmp_path), {"m": solver(), "j": judge()}) as at:
        for path in ("policy", "runs", "tree"):
            status, _ = await at.post(f"/ponder/{path}", {}, headers={"Origin": "https://evil.example"})
            assert status == 403
        status, _ = await at.get("/ponder/traces", headers={"Host": "evil.example"})
        assert status == 403


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=201", "before=-1", "limit=nan"])
async def test_odd_questions_are_refused(tmp_path: Path, query: str) -> None:
    async with serving(house(tmp_path), {"m": solver(), "j": judge()}) as at:
        status, _ = await at.get(f"/ponder/traces?{query}")
        assert status == 400
        status, _ = await at.get("/ponder/traffic?hours=0")
        assert status == 400


async def test_without_a_book_the_page_says_that_nothing_is_kept() -> None:
    async with serving(scripted(), {"m": solver(latency=0)}) as at:
        await at.chat("greedy@m")
        for path in ("traces", "traffic"):
            _, text = await at.get(f"/ponder/{path}")
            assert json.loads(text)["kept"] is False
        _, text = await at.get("/ponder/state")
        assert json.loads(text)["traces"] is False


async def test_a_book_without_texts_still_has_trees(tmp_path: Path) -> None:
    settings = house(tmp_path, traces=Traces(file=str(tmp_path / "t.sqlite"), texts=False))
    async with serving(settings, {"m": solver(latency=0), "j": judge()}) as at:
        await at.chat("best_of_n@m", "secret words", ponder={"params": {"n": 4}, "answer": "number"})
        _, text = await at.get(f"/ponder/traces/{at.headers['x-ponder-trace']}")
        assert "secret" not in text
        assert "evil" not in text
        states = [node["state"] for node in of(json.loads(text)["tree"], "answer")]
        assert states == ["chosen", "lost", "lost", "lost"]


# -- trace files, benches, policies --------------------------------------------------------------------------------


async def test_a_trace_file_is_shown(tmp_path: Path) -> None:
    _, found, _ = await traced("self_consistency", solver(latency=0), n=4, early_stop="none")
    lines = "\n".join(event.to_line() for event in found)
    async with serving(house(tmp_path), {"m": solver(), "j": judge()}) as at:
        status, body = await at.post("/ponder/tree", data=lines.encode())
        assert status == 200
        assert len(of(body["tree"], "answer")) == 4
        deep = [Event(at + 1, at, 0.0, "run", "open", {}).to_line() for at in range(5000)]
        odd = [Event(1, 0, 0.0, "call", "open", {"path": 3, "index": [], "usage": 7}).to_line()]
        odder = ['{"v": 1, "id": [], "parent": {}, "t": 0, "kind": "run", "phase": "open", "data": 5}', "{}"]
        files = ["", "nothing\n{}", '{"v": 99}\n{}', *("\n".join(lines) for lines in (deep, odd, odder))]
        for data in map(str.encode, files):
            status, _ = await at.post("/ponder/tree", data=data)
            assert status == 400


async def test_benches_are_listed_and_read_and_names_lead_nowhere_else(tmp_path: Path) -> None:
    settings = house(tmp_path)
    await recorded_bench(tmp_path / "runs" / "deep" / "one", count=2)
    await recorded_bench(tmp_path / "outside", count=2)
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "outside")
    async with serving(settings, {"m": solver(), "j": judge()}) as at:
        _, text = await at.get("/ponder/benches")
        (bench,) = json.loads(text)["benches"]
        assert bench["name"] == "deep/one"
        assert bench["runs"] == 12
        assert bench["models"] == ["scripted:small"]
        status, text = await at.get("/ponder/benches/deep/one")
        found = json.loads(text)
        assert status == 200
        assert {point["n"] for point in found["points"]} == {1, 2, 4}
        assert "Every prompt" in [section["title"] for section in found["sections"]]
        for name in ("link", "deep", "..%2foutside", "../outside", "deep/one/../../../outside"):
            status, _ = await at.get(f"/ponder/benches/{name}")
            assert status == 404, name


async def test_a_bench_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    settings = house(tmp_path)
    for name, text in (("empty", ""), ("broken", "no row\n")):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "rows.jsonl").write_text(text)
    async with serving(settings, {"m": solver(), "j": judge()}) as at:
        status, text = await at.get("/ponder/benches/empty")
        assert status == 400
        assert "there is no row" in text
        status, _ = await at.get("/ponder/benches/broken")
        assert status == 400


async def test_a_report_that_nobody_waits_for_leaves_no_process(tmp_path: Path) -> None:
    await recorded_bench(tmp_path / "one", count=2)
    task = asyncio.get_running_loop().create_task(in_process(tmp_path / "one"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(b"ponder.gateway.pages.reports" in line for line in _children())


def _children() -> list[bytes]:
    """Return the command lines of this thread's processes, where the system tells."""
    listed = Path("/proc/self/task", str(threading.get_native_id()), "children")
    return [Path("/proc", pid, "cmdline").read_bytes() for pid in listed.read_text().split()] if listed.exists() else []


async def test_a_policy_is_activated_and_rolled_back(tmp_path: Path) -> None:
    settings = house(tmp_path)
    policy(5).save(tmp_path / "runs" / "policy-five.json")
    policy(7, fingerprint="another").save(tmp_path / "runs" / "policy-other.json")
    (tmp_path / "runs" / "policy-broken.json").write_text("{}")
    async with serving(settings, {"m": solver(latency=0), "j": judge()}) as at:
        _, text = await at.get("/ponder/benches")
        by_name = {one["name"]: one for one in json.loads(text)["policies"]}
        assert by_name["policy-five.json"]["fits"] == ["m"]
        assert by_name["policy-other.json"]["fits"] == []
        assert "not a policy" in by_name["policy-broken.json"]["error"]
        status, body = await at.post("/ponder/policy", {"activate": "policy-other.json"})
        assert status == 400
        assert "measured with" in body["error"]["message"]
        for name in ("policy-broken.json", "../policy.json", "none"):
            status, _ = await at.post("/ponder/policy", {"activate": name})
            assert status in (400, 404)
        assert load_policy(tmp_path / "policy.json") == policy(3)
        status, body = await at.post("/ponder/policy", {"activate": "policy-five.json"})
        assert (status, body["otherwise"], body["previous"]) == (200, "self_consistency(n=5)", True)
        _, answer = await at.chat("auto@m", ponder={"answer": "number"})
        assert "n=5" in answer["ponder"]["detail"]
        status, body = await at.post("/ponder/policy", {"roll_back": True})
        assert (status, body["otherwise"]) == (200, "self_consistency(n=3)")
        status, _ = await at.post("/ponder/policy", {"roll_back": False})
        assert status == 400


def test_the_settings_of_the_page_are_read(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    key = hash_key(make_key())
    file.write_text(
        '[upstreams.m]\nspec = "scripted:x"\n[server]\nbenches = "runs"\n'
        f'[keys.boss]\nhash = "{key}"\noperator = true\n'
    )
    settings = load_settings(file)
    assert settings.server.benches == str(tmp_path / "runs")
    assert settings.keys[0].operator
    assert not Key(name="other", hash=key).operator


async def test_a_book_in_memory_serves_the_page(tmp_path: Path) -> None:
    settings = house(tmp_path, traces=Traces(file=":memory:", rows=10))
    async with serving(settings, {"m": solver(latency=0), "j": judge()}) as at:
        await at.chat("greedy@m")
        status, _ = await at.get(f"/ponder/traces/{at.headers['x-ponder-trace']}")
        assert status == 200


async def test_without_a_policy_in_the_settings_none_is_activated(tmp_path: Path) -> None:
    settings = house(tmp_path, policy=None)
    policy(5).save(tmp_path / "runs" / "policy-five.json")
    async with serving(settings, {"m": solver(), "j": judge()}) as at:
        status, body = await at.post("/ponder/policy", {"activate": "policy-five.json"})
        assert status == 400
        assert "policy = FILE" in body["error"]["message"]


async def test_the_catalogue_and_the_state(tmp_path: Path) -> None:
    async with serving(house(tmp_path), {"m": solver(), "j": judge()}) as at:
        _, text = await at.get("/ponder/catalogue")
        found = json.loads(text)
        assert [paper["card"] for paper in found["papers"]] == list(range(1, 66))
        assert {"best_of_n", "judge"} <= {one["name"] for one in found["components"]}
        assert all(one["idea"] for one in found["components"])
        _, text = await at.get("/ponder/state")
        state = json.loads(text)
        assert state["operator"] is True
        assert "policy" not in state["methods"]["auto"]  # a file is for whoever runs the gateway
        assert all(not registry.verifiers.get(name).oracle for name in state["verifiers"])
        assert {"single@m", "best_of_n@m", "best_of_n@j"} <= {one["id"] for one in state["models"]}

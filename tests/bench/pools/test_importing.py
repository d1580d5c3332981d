"""Samples of others: the three formats, and broken files that are refused with their line."""

from __future__ import annotations

import asyncio
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ponder.bench.pools.folder import read_problems
from ponder.bench.pools.importing import Imported, import_pool
from ponder.bench.pools.inspect_logs import read_inspect
from ponder.bench.pools.lm_eval_logs import read_lm_eval
from ponder.bench.pools.rescoring import score_pool
from ponder.bench.pools.row_logs import PoolColumns, read_rows_of_samples
from ponder.bench.pools.scoring import Judge
from ponder.bench.worker import Brake
from ponder.core.errors import BadInput, ConfigError
from ponder.models.replay import Recorded, read_pool

HERE = Path(__file__).parents[2] / "fixtures" / "pools"
LM_EVAL = HERE / "samples_tiny_math_2025-01-02T03-04-05.678901.jsonl"
COLUMNS = PoolColumns(prompt="question", responses="samples", reference="gold")


def bring(prompts: Any, out: Path, **fields: Any) -> Imported:
    base: dict[str, Any] = {"source": "test", "files": ("file",), "answer": "number"}
    return asyncio.run(import_pool(prompts, out, **{**base, **fields}))


def by_problem(out: Path) -> dict[str, list[Recorded]]:
    found: dict[str, list[Recorded]] = {}
    for record in read_pool(out):
        found.setdefault(record.problem, []).append(record)
    return found


def test_lm_eval_logs_become_problems_with_all_repeats(tmp_path: Path) -> None:
    done = bring(read_lm_eval(LM_EVAL), tmp_path)
    assert done == Imported(problems=2, samples=6, fewest=3, most=3, graded=6)
    pool = by_problem(tmp_path)
    assert [r.grade for r in pool["tiny_math:0"]] == [True, False, True]
    assert [r.answer for r in pool["tiny_math:1"]] == ["7", None, "7"]
    assert [r.group for r in pool["tiny_math:1"]] == [0, None, 0]
    first, second = (named.problem for named in read_problems(tmp_path))
    assert first.task.prompt == "Q: What is 2 + 2?\nA:"
    assert [message.role for message in second.task.messages] == ["system", "user"]
    assert (first.reference, first.task.answer) == ("#### 4", "number")
    assert not any(r.counted for r in pool["tiny_math:0"])


def zipped(path: Path, body: dict) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("header.json", json.dumps({key: body[key] for key in ("version", "status", "eval")}))
        for sample in body["samples"]:
            file.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    return path


@pytest.mark.parametrize("form", ["json", "eval"])
def test_inspect_logs_become_problems_with_their_epochs(tmp_path: Path, form: str) -> None:
    file = HERE / "inspect.json"
    if form == "eval":
        file = zipped(tmp_path / "log.eval", json.loads(file.read_text()))
    bring(read_inspect(file), tmp_path / "pool")
    pool = by_problem(tmp_path / "pool")
    first, second = pool["sums:a"]
    assert [r.completion.text for r in (first, second)] == ["4", "5"]
    assert [r.grade for r in (first, second)] == [True, False]
    assert (first.completion.usage.prompt_tokens, first.completion.usage.completion_tokens) == (8, 1)
    assert (first.completion.usage.thinking_tokens, first.counted) == (1, True)
    assert first.completion.tokens is not None
    assert first.completion.tokens.logprobs == (-0.5,)
    assert second.completion.finish == "length"
    assert len(pool["sums:b"]) == 1
    assert not pool["sums:b"][0].counted


def test_rows_with_columns_of_their_own(tmp_path: Path) -> None:
    bring(read_rows_of_samples(HERE / "rows.jsonl", COLUMNS), tmp_path)
    first, second = by_problem(tmp_path).values()
    assert [r.answer for r in first] == ["4", "5", "4"]
    assert [r.scores["rm"].value for r in first] == [0.5, 0.9, None]
    assert [r.counted for r in first] == [False, False, True]
    assert first[2].completion.finish == "length"
    assert [r.grade for r in second] == [True, False, True]


def test_grades_of_the_log_are_taken_where_that_is_asked(tmp_path: Path) -> None:
    done = bring(read_rows_of_samples(HERE / "rows.jsonl", COLUMNS), tmp_path, grades="log")
    assert done.graded == 2
    assert [r.grade for r in next(iter(by_problem(tmp_path).values()))] == [True, False, None]


def test_rows_of_one_sample_each_are_joined(tmp_path: Path) -> None:
    file = tmp_path / "flat.csv"
    file.write_text(
        "prompt,response,reference,completion_tokens,prompt_tokens\n2+2?,4,4,1,5\n1+1?,2,2,1,5\n2+2?,5,4,1,5\n"
    )
    bring(read_rows_of_samples(file), tmp_path / "pool")
    assert [[r.answer for r in found] for found in by_problem(tmp_path / "pool").values()] == [["4", "5"], ["2"]]
    assert all(r.counted for r in read_pool(tmp_path / "pool"))


def test_an_import_again_changes_nothing_and_another_is_refused(tmp_path: Path) -> None:
    bring(read_lm_eval(LM_EVAL), tmp_path)
    before = (tmp_path / "samples.jsonl").read_bytes()
    (tmp_path / "samples.jsonl").write_bytes(before[:-100])  # as a kill leaves it
    bring(read_lm_eval(LM_EVAL), tmp_path)
    assert len(read_pool(tmp_path)) == 6
    with pytest.raises(ConfigError, match="another pool"):
        bring(read_lm_eval(LM_EVAL), tmp_path, files=("other",))


def test_an_imported_pool_can_be_scored(tmp_path: Path) -> None:
    bring(read_lm_eval(LM_EVAL), tmp_path)
    assert asyncio.run(score_pool(tmp_path, [Judge(name="arithmetic")])) == (2, "")
    assert all("arithmetic" in r.scores for r in read_pool(tmp_path))
    assert asyncio.run(score_pool(tmp_path, [Judge(name="arithmetic")])) == (0, "")
    brake = Brake()
    brake.cancel()
    halted = asyncio.run(score_pool(tmp_path, [Judge(name="constraints")], control=brake))
    assert (halted.done, halted.broken) == (0, "cancelled by the user")
    with pytest.raises(ConfigError, match="--judge"):
        asyncio.run(score_pool(tmp_path, [Judge(name="judge")]))
    with pytest.raises(BadInput, match="no folder of a pool"):
        asyncio.run(score_pool(tmp_path / "none", [Judge(name="arithmetic")]))


LINE = {"doc_id": 0, "target": "4", "arguments": [["Q", {}]], "resps": [["4"]]}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", r":2: not a line of JSON"),
        ("[]", r":2: a row must be an object"),
        (json.dumps({**LINE, "resps": []}), r":2: column 'resps': holds no answer"),
        (json.dumps({**LINE, "resps": [[[-1.5, False]]]}), r":2: column 'resps': holds what is no text"),
        (json.dumps({**LINE, "arguments": [["Q", " A"]]}), r":2: column 'arguments': is a likelihood"),
        (json.dumps({**LINE, "arguments": []}), r":2: column 'arguments': holds no prompt"),
        (json.dumps({**LINE, "doc_id": 1, "target": ["4", "four"]}), r":2: column 'target': has 2 references"),
        (json.dumps({"doc_id": 3}), r":2: no column 'arguments'"),
        (json.dumps({**LINE, "arguments": [["Other", {}]]}), r":2: '0' is another prompt"),
    ],
)
def test_broken_lm_eval_lines_are_named(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "samples_x.jsonl"
    file.write_text(json.dumps(LINE) + "\n" + line + "\n")
    with pytest.raises(BadInput, match=told) as error:
        bring(read_lm_eval(file), tmp_path / "pool")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"responses": "4"}, "needs a list of answers"),
        ({"responses": [3]}, "answer 0 is neither text"),
        ({"scores": {"rm": [1, 2]}}, "one score for each of the 1 answers"),
        ({"scores": {"rm": ["high"]}}, "a score must be a number"),
        ({"grade": ["yes"]}, "a grade is true, false or null"),
        ({"reference": "four"}, "no answer of type 'number'; name the answer type with --answer"),
        ({"prompt": [{"text": "no role"}]}, "no list of messages"),
        ({"prompt": " "}, "the prompt is empty"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, change: dict, told: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"prompt": "2+2?", "responses": ["4"], "reference": "4", **change}) + "\n")
    with pytest.raises(BadInput, match=rf"rows\.jsonl:1: .*{told}"):
        bring(read_rows_of_samples(file), tmp_path / "pool")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"version": 2,\n "samples": [', r"log\.json:2: not JSON"),
        ("[]", "holds no samples"),
        ('{"samples": []}', "not a log of inspect-ai"),
        ('{"samples": [{"epoch": 1}], "eval": {"task": "t", "model": "m"}}', r"sample 1: not a sample of inspect-ai"),
    ],
)
def test_broken_inspect_logs_are_named(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "log.json"
    file.write_text(text)
    with pytest.raises(BadInput, match=told):
        bring(read_inspect(file), tmp_path / "pool")


def test_broken_zips_and_agents_are_refused(tmp_path: Path) -> None:
    torn = tmp_path / "log.eval"
    torn.write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(BadInput, match="cannot read"):
        list(read_inspect(torn))
    body = json.loads((HERE / "inspect.json").read_text())
    body["samples"][0]["messages"] *= 2
    agent = tmp_path / "agent.json"
    agent.write_text(json.dumps(body))
    with pytest.raises(BadInput, match="answered several times"):
        list(read_inspect(agent))


def test_nothing_and_several_models_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(BadInput, match="no sample"):
        bring(read_rows_of_samples(empty), tmp_path / "pool")
    two = tmp_path / "two.jsonl"
    rows = [{"prompt": f"{m}?", "response": "1", "reference": "1", "model": m} for m in ("a", "b")]
    two.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ConfigError, match="one model, these are a, b"):
        bring(read_rows_of_samples(two), tmp_path / "pool")
    with pytest.raises(ConfigError, match="no column setting 'colour'"):
        PoolColumns.of({"colour": "red"})

"""lm-eval with the flags of the guide, in a process of its own: what it sends, and that it reads what comes back.

First a stand-in that speaks chat completions and keeps what it was sent, then the gateway.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from ponder.models.scripted import ScriptedModel
from tests.gateway.house import scripted, serving
from tests.models.fault_server import FaultServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("lm_eval") is None, reason="exempt: lm-eval not installed (pip install 'lm-eval[api]')"
    ),
]
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "harnesses.md"
TASK = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {do_sample: false, until: ["Q:"]}
filter_list:
  - name: last-number
    filter:
      - {function: regex, regex_pattern: "(-?[0-9]+)", group_select: -1}
      - {function: take_first}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""


def command(base_url: str, model: str, folder: Path) -> list[str]:
    """The command of the guide with another server, another model, a task of our own and another place for results."""
    (found,) = re.findall(r"^OPENAI_API_KEY=\S+ (lm_eval run .*?)\n```", GUIDE.read_text("utf-8"), re.DOTALL | re.M)
    words = shlex.split(found.replace("\\\n", " "))
    arguments = words[words.index("--model_args") + 1].split(",")
    replaced = {"base_url": f"{base_url}/chat/completions", "model": model}
    given = [f"{key}={replaced.get(key, value)}" for key, value in (part.split("=", 1) for part in arguments)]
    words[words.index("--model_args") + 1] = ",".join(given)
    words[words.index("--tasks") + 1] = "sums"
    words[words.index("--output_path") + 1] = str(folder / "out")
    return [sys.executable, "-m", "lm_eval", *words[1:], "--include_path", str(folder)]


async def lm_eval(base_url: str, model: str, folder: Path, key: str = "secret") -> dict[str, float]:
    """Run the guide's command on two sums, and return the metrics."""
    questions = [{"question": "What is 6 x 7?", "answer": "42"}, {"question": "What is 5 x 8?", "answer": "40"}]
    (folder / "sums.jsonl").write_text("".join(json.dumps(one) + "\n" for one in questions), encoding="utf-8")
    (folder / "sums.yaml").write_text(TASK.replace("FILE", str(folder / "sums.jsonl")), encoding="utf-8")
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    process = await asyncio.create_subprocess_exec(
        *command(base_url, model, folder),
        env={**os.environ, **offline, "OPENAI_API_KEY": key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-3000:]
    (results,) = (folder / "out").rglob("results_*.json")
    found: dict[str, float] = json.loads(results.read_text(encoding="utf-8"))["results"]["sums"]
    return found


async def test_the_command_of_the_guide_reaches_a_chat_server_and_reads_its_answers(tmp_path):
    async with FaultServer(says="that makes 42", key="secret") as server:
        found = await lm_eval(server.url, "best_of_n@small", tmp_path)
    assert found["exact_match,last-number"] == 0.5
    assert len(server.seen) == 2
    for sent in server.seen:
        assert sent["model"] == "best_of_n@small"
        assert sent["temperature"] == 0.8  # a task that asks for greedy answers is overruled
        assert sent["max_tokens"] == 256
        assert sent["stop"] == ["Q:"]
        assert [message["role"] for message in sent["messages"]] == ["user"]
        assert sent["ponder"] == {"verifier": "arithmetic", "params": {"n": 8}, "answer": "number"}
        assert "do_sample" not in sent


async def test_lm_eval_scores_a_method_behind_the_gateway(tmp_path):
    model = ScriptedModel(replies=("40", "6 x 7 = 42", "41"))
    async with serving(scripted("small"), {"small": model}) as house:
        found = await lm_eval(f"{house.url}/v1", "best_of_n@small", tmp_path)
    assert model.calls == 2 * 8  # the calls behind two answers
    assert found["exact_match,last-number"] == 0.5  # the verifier finds the right sum of the one, and there is none

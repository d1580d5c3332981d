"""`ponder solve`: what lands on which stream, the exit codes, bad input, Ctrl-C, estimates."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ponder.core.model import Completion
from ponder.core.store import Store
from ponder.core.task import Message
from ponder.core.usage import Usage
from ponder.models.scripted import ScriptedModel
from tests.cli.command import Command

NUMBER = ("--answer", "number")
QUESTION = "What is 6 times 7?"


def test_answer_is_alone_on_stdout_and_cost_on_stderr(ponder: Command) -> None:
    done = ponder("solve", QUESTION, "--model", "scripted:it is 42|so 41|42 it is", *NUMBER, "--n", "9", "--no-store")
    assert (done.code, done.out) == (0, "42\n")
    first, second = done.err.splitlines()
    assert first.startswith("self_consistency n=9 on scripted:it is 42|so 41|42 it is: ")
    assert second.startswith("policy: ")
    assert "prompt + " in second


def test_text_is_printed_whole(ponder: Command) -> None:
    done = ponder("solve", "Hello", "--model", "scripted:Good\n\nmorning\n", "--no-store", "--quiet")
    assert done == (0, "Good\n\nmorning\n", "")


def test_json_is_the_result(ponder: Command) -> None:
    done = ponder("solve", QUESTION, "--model", "scripted:42", *NUMBER, "--no-store", "--json")
    result = json.loads(done.out)
    assert (done.code, result["answer"], result["method"]) == (0, "42", "self_consistency")
    assert result["usage"]["policy"]["calls"] == len(result["candidates"])


def test_settings_reach_the_method(ponder: Command) -> None:
    options = ("--method", "self_consistency", "--set", "early_stop=none", "--set", "n=3", "--seed", "7")
    done = ponder("solve", QUESTION, "--model", "scripted:42", *NUMBER, *options, "--no-store", "--json")
    assert json.loads(done.out)["settings"] | {"n": 3, "early_stop": "none"} == json.loads(done.out)["settings"]
    assert "self_consistency n=3 early_stop=none on" in done.err


def test_a_judge_is_a_verifier_and_its_cost_is_its_own(ponder: Command) -> None:
    done = ponder("solve", "Hi", "--model", "scripted:a|b", "--judge", "scripted:Score: 7", "--n", "4", "--no-store")
    assert done.code == 0
    assert "best_of_n n=4" in done.err
    assert [line.partition(":")[0] for line in done.err.splitlines()[1:]] == ["judge", "policy"]


def test_stored_answers_are_not_paid_again(ponder: Command, tmp_path: Path) -> None:
    options = ("--model", "scripted:42", *NUMBER, "--store", str(tmp_path / "answers.sqlite"))
    assert "paid: nothing" not in ponder("solve", QUESTION, *options).err
    again = ponder("solve", QUESTION, *options)
    assert again.out == "42\n"
    assert "paid: nothing, all of it was stored" in again.err


def test_trace_is_written_as_lines(ponder: Command, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    ponder("solve", "Hi", "--model", "scripted:a", "--no-store", "--trace", str(file))
    kinds = [json.loads(line)["kind"] for line in file.read_text(encoding="utf-8").splitlines()]
    assert kinds[0] == kinds[-1] == "run"
    assert "call" in kinds


# -- prompts -----------------------------------------------------------------------------------------------------------


def test_prompt_comes_from_a_pipe_without_its_last_line_break(ponder: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO(b"Wie geht's?\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=data))
    piped = json.loads(ponder("solve", "-", "--model", "scripted:gut", "--no-store", "--json").out)
    given = json.loads(ponder("solve", "Wie geht's?", "--model", "scripted:gut", "--no-store", "--json").out)
    assert piped["candidates"] == given["candidates"]


def test_prompt_comes_from_a_file(ponder: Command, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"\xef\xbb\xbfHi\r\n")
    assert ponder("solve", "--file", str(file), "--model", "scripted:a", "--no-store", "--quiet").out == "a\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "the prompt is empty"),
        ([" \n"], "the prompt is empty"),
        ([], "give the prompt once"),
        (["a", "--file", "b"], "give the prompt once"),
        (["--file", "/no/such/file"], "cannot read the prompt from '/no/such/file': No such file"),
        (["a\udcff"], "the prompt is not UTF-8"),
        (["a", "--method", "best_of_m"], "no method is called 'best_of_m'. Did you mean 'best_of_n'"),
        (["a", "--method", "best_of_n"], "needs a verifier: --verifier NAME with one of arithmetic"),
        (["a", "--method", "self_consistency", "--set", "m=3"], "has no setting 'm'"),
        (["a", "--method", "self_consistency", "--n", "0"], "must be at least 1, got n=0"),
        (["a", "--n", "3"], "several samples of free text need something to choose by"),
        (["a", "--n", "3", "--set", "n=3", *NUMBER], "n is given twice"),
        (["a", "--set", "n"], "write KEY=VALUE"),
        (["a", "--verifier", "judg"], "no verifier is called 'judg'. Did you mean 'judge'"),
        (["a", "--answer", "numbr"], "no answer type is called 'numbr'. Did you mean 'number'"),
        (["a", "--budget", "tokens=10,prompt_tokens=20"], "contradictory budget"),
        (["a", "--budget", "tokens=10,tokens=20"], "contradictory budget"),
        (["a", "--budget", "usd=1"], "needs prices"),
        (["a", "--temperature", "-1"], "temperature must be at least 0"),
        (["a", "--model", "scripted:"], "cannot read the model 'scripted:'"),
        (["a", "--model", "llamacpp:/no/such.gguf"], "there is no model file '/no/such.gguf'"),
        (["a", "--model-option", "api_key=x"], "can be read by every user"),
        (["a", "--store", "x"], "--store and --no-store contradict"),
        (["a", "--trace", "/no/such/directory/trace"], "cannot write the trace"),
        (["a", "--endpoints", "/no/such/file"], "cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(ponder: Command, arguments: list, said: str) -> None:
    done = ponder("solve", "--model", "scripted:4", "--no-store", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.startswith("ponder: ")
    assert len(done.err.splitlines()) <= 2
    assert done.err.splitlines()[1:] == [line for line in done.err.splitlines()[1:] if line.startswith("hint: ")]


def test_a_file_that_is_no_text_is_refused(ponder: Command, tmp_path: Path) -> None:
    file = tmp_path / "prompt.bin"
    file.write_bytes(b"caf\xe9")
    done = ponder("solve", "--file", str(file), "--model", "scripted:a", "--no-store")
    assert (done.code, done.err) == (2, f"ponder: the prompt from {file} is not UTF-8 text (byte 3)\n")


def test_a_model_is_named_in_an_endpoints_file(ponder: Command, tmp_path: Path) -> None:
    file = tmp_path / "endpoints.toml"
    file.write_text('[endpoints.here]\nmodel = "tiny"\nbase_url = "http://127.0.0.1:9/v1"\nretries = 0\n', "utf-8")
    done = ponder("solve", "Hi", "--endpoints", str(file), "--model", "here", "--no-store")
    assert done.code == 4
    done = ponder("solve", "Hi", "--endpoints", str(file), "--model", "there", "--no-store")
    assert (done.code, done.err) == (2, f"ponder: {file} has no endpoint 'there'; there are: here\n")


def test_wrong_usage_is_exit_code_2(ponder: Command) -> None:
    assert ponder("solve", "a", "--seed", "x").code == 2
    assert ponder("solve", "a", "--no-such-option").code == 2


# -- how a run ends ----------------------------------------------------------------------------------------------------


def test_an_answer_within_the_budget_is_success(ponder: Command) -> None:
    options = ("--method", "self_consistency", "--set", "early_stop=none", "--budget", "calls=3")
    done = ponder("solve", QUESTION, "--model", "scripted:42", *NUMBER, *options, "--no-store")
    assert (done.code, done.out) == (0, "42\n")
    assert ": budget in " in done.err


def test_no_answer_is_exit_code_1_and_shows_a_text(ponder: Command) -> None:
    done = ponder("solve", QUESTION, "--model", "scripted:I do not know", *NUMBER, "--no-store")
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("ponder: no answer of the type 'number' in 16 texts, such as 'I do not know'\n")


def test_settings_reach_the_verifier_and_are_checked(ponder: Command) -> None:
    options = ("--model", "scripted:3 * 4 = 12", *NUMBER, "--no-store", "--method", "best_of_n", "--n", "2")
    story = "Ann has 3 bags with 5 apples in each. How many apples are there?"
    strict = ponder("solve", story, *options, "--verifier", "arithmetic", "--json")
    loose = ponder("solve", story, *options, "--verifier", "arithmetic", "--verifier-set", "recompute=false", "--json")
    values = [json.loads(done.out)["candidates"][0]["scores"]["arithmetic"]["value"] for done in (strict, loose)]
    assert values == [0.0, 1.0]
    wrong = ponder("solve", story, *options, "--verifier", "arithmetic", "--verifier-set", "recomput=false")
    assert (wrong.code, "Did you mean 'recompute'" in wrong.err) == (2, True)
    assert ponder("solve", "Hi", "--model", "scripted:a", "--verifier-set", "x=1").code == 2


def test_a_deadline_is_exit_code_3(ponder: Command) -> None:
    options = ("--model-option", "latency=30", "--budget", "seconds=0.1", "--no-store")
    assert ponder("solve", "Hi", "--model", "scripted:a", *options).code == 3


def test_a_dead_endpoint_is_exit_code_4_with_the_best_so_far(ponder: Command) -> None:
    options = ("--model-option", "dies_after=3", "--method", "self_consistency", "--no-store")
    done = ponder("solve", QUESTION, "--model", "scripted:42", *NUMBER, *options)
    assert (done.code, done.out) == (4, "42\n")


def test_an_overrun_is_exit_code_5(ponder: Command) -> None:
    options = ("--model-option", "lie=9000", "--budget", "tokens=600", "--no-store")
    assert ponder("solve", "Hi", "--model", "scripted:a b", *options).code == 5


@pytest.mark.skipif(sys.platform == "win32", reason="exempt: POSIX signals")
def test_ctrl_c_prints_the_best_so_far(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    command = [sys.executable, "-c", "from ponder.cli.main import main; main()", "solve", QUESTION, "--no-store"]
    command += ["--model", "scripted:42", *NUMBER, "--method", "self_consistency", "--set", "early_stop=none"]
    # Latencies are drawn from the seeds: of 64 answers the first ones are there long before the last.
    command += ["--n", "64", "--model-option", "latency=[0.01, 100]", "--trace", str(trace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while '"close"' not in (trace.read_text(encoding="utf-8") if trace.exists() else ""):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "42\n")
    assert "ponder: stopping; Ctrl-C again to abort" in err
    assert ": cancelled in " in err
    assert "Traceback" not in err


# -- estimates ---------------------------------------------------------------------------------------------------------


def test_estimate_spends_nothing_and_is_clipped_by_the_budget(ponder: Command, tmp_path: Path) -> None:
    store = tmp_path / "answers.sqlite"
    options = ("--model", "scripted:42", *NUMBER, "--n", "8", "--max-tokens", "100", "--store", str(store))
    whole = json.loads(ponder("solve", QUESTION, *options, "--estimate", "--json").out)
    (line,) = whole["roles"]
    assert (line["calls"], line["tokens_at_most"]) == (8, 8 * (5 + 100))
    assert line["expected"] is None
    (line,) = json.loads(ponder("solve", QUESTION, *options, "--budget", "tokens=200", "--estimate", "--json").out)[
        "roles"
    ]
    assert (line["at_most"]["calls"], line["tokens_at_most"]) == (2, 200)
    assert not store.exists()


def test_estimate_expects_what_was_stored(ponder: Command, tmp_path: Path) -> None:
    file = tmp_path / "answers.sqlite"
    store = Store(file)
    for index, length in enumerate((10, 30)):
        usage = Usage(calls=1, prompt_tokens=5, completion_tokens=length)
        completion = Completion(message=Message("assistant", "42"), finish="stop", usage=usage)
        store.put(str(index), ScriptedModel.from_spec("42").info, completion)
    store.close()
    options = ("--model", "scripted:42", *NUMBER, "--n", "4", "--store", str(file), "--estimate")
    made = json.loads(ponder("solve", QUESTION, *options, "--json").out)
    assert (made["mean_length"], made["stored"]) == (20, 2)
    assert made["roles"][0]["expected"]["completion_tokens"] == 80
    assert "the mean of 2 stored" in ponder("solve", QUESTION, *options).out


def test_estimate_of_a_method_that_reads_earlier_answers_claims_no_bound_but_the_budget(ponder: Command) -> None:
    options = ("--model", "scripted:42", *NUMBER, "--method", "sequential_revisions", "--verifier", "arithmetic")
    done = ponder("solve", QUESTION, *options, "--no-store", "--estimate", "--json")
    (line,) = json.loads(done.out)["roles"]
    assert (line["at_most"], line["tokens_at_most"]) == (None, None)
    done = ponder("solve", QUESTION, *options, "--no-store", "--estimate", "--json", "--budget", "tokens=900,calls=3")
    (line,) = json.loads(done.out)["roles"]
    assert (line["calls"], line["tokens_at_most"]) == (3, 900)


def test_estimate_names_the_calls_of_a_judge(ponder: Command) -> None:
    options = ("--judge", "scripted:Score: 1", "--model", "scripted:a", "--n", "4", "--no-store", "--estimate")
    done = ponder("solve", "Hi", *options)
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[2:4]] == ["policy", "judge"]
    assert "unknown" in done.out


def test_estimate_refuses_what_a_run_would_refuse(ponder: Command) -> None:
    assert "needs prices" in ponder("solve", "a", "--model", "scripted:a", "--estimate", "--budget", "usd=1").err


def test_a_model_in_a_further_role_is_asked_and_booked_there(ponder: Command) -> None:
    done = ponder("solve", "Hi", "--model", "scripted:a|b", "--verifier", "judge", "--role", "judge=scripted:Score: 7")
    assert done.code == 0
    assert [line.partition(":")[0] for line in done.err.splitlines()[1:]] == ["judge", "policy"]
    refused = ponder("solve", "Hi", "--model", "scripted:a", "--role", "policy=scripted:b", "--no-store")
    assert "--model, not a further role" in refused.err


def test_a_price_table_makes_a_budget_in_dollars_possible(ponder: Command, tmp_path: Path) -> None:
    refused = ponder("solve", "Hi", "--model", "scripted:a", "--budget", "usd=1", "--no-store")
    assert refused.code != 0
    table = tmp_path / "prices.toml"
    table.write_text('[prices."scripted:a"]\nprompt = 1.0\ncompletion = 2.0\n')
    priced = ("--budget", "usd=1", "--price-table", str(table))
    done = ponder("solve", "Hi", "--model", "scripted:a", "--no-store", *priced)
    assert (done.code, done.out) == (0, "a\n")

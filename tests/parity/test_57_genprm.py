"""Card 57 (Zhao et al. 2025): verdict reward, code loop, boxes, labels by relative progress."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ponder.core.model import Tokens
from ponder.numerics.aggregation import aggregate
from ponder.numerics.progress_labels import first_error, hard_labels, processbench_f1, progress_labels, rollout_value
from ponder.numerics.verdict import released_reward
from ponder.verifiers.code_session import CodeSession
from ponder.verifiers.gen_prm_loop import Plan, Said, Templates, verify_step
from ponder.verifiers.gen_prm_text import analysis_text, last_block, normalize_boxed
from tests.parity.cases import Case, Kind, Kinds, each_case

Inputs = Mapping[str, Any]
RUNS_CODE = ("code_executor", "control_flow")


def reward(given: Inputs) -> dict[str, Any]:
    logprobs = [{int(token): value for token, value in step.items()} for step in given["logprobs"]]
    try:
        found: float | str = released_reward(
            given["text"], given["token_ids"], logprobs, yes=given["yes_id"], no=given["no_id"]
        )
    except ValueError as err:
        found = f"error:{type(err).__name__}"
    return {"reward": found}


def vote_average(given: Inputs) -> dict[str, Any]:
    return {"reward": aggregate(given["rewards"], "mean")}


def first_bad(given: Inputs) -> dict[str, Any]:
    bad = first_error(given["rewards"])
    return {"first_bad_step_index0": bad, "minus_one_form": -1 if bad is None else bad}


def boxes(given: Inputs) -> dict[str, Any]:
    found = normalize_boxed(given["text"], verdicts_only=given["must_yes_no"])
    return {
        "text": found.text,
        "last": found.contents[-1] if found.contents else None,
        "last_flag": found.last_flag,
        "all": found.contents or None,
        "flags": found.flags if found.contents else None,
    }


def code_executor(given: Inputs) -> dict[str, Any]:
    async def run() -> list[str]:
        session, outputs = CodeSession(), []
        for text in given["texts_in_order"]:
            code = last_block(text)
            if code is None:
                outputs.append("no_code")
                continue
            outcome = await session.run(code)
            raised = outcome.problem.partition(":")[0]
            outputs.append(f"error:{raised}" if raised else outcome.stdout.strip())
        return outputs

    return {"outputs": asyncio.run(run())}


def control_flow(given: Inputs) -> dict[str, Any]:
    settings, templates, script = given["settings"], given["templates"], iter(given["script"])
    spelled = {given["yes_id"]: "Yes", given["no_id"]: "No"}
    calls: list[dict[str, Any]] = []
    session = CodeSession()

    async def say(text: str, stops: tuple[str, ...], most: int) -> Said:
        calls.append({"prompt": given["prompt"] + text, "stop": list(stops), "max_tokens": most})
        step = next(script)
        return Said(step["text"], tokens(step, spelled))

    async def execute(code: str) -> str:
        return (await session.run(code)).stdout.strip()

    plan = Plan(
        analyse=settings["analyze"],
        verify=settings["verify"],
        execute=settings["execute"],
        rounds=settings["time_limit"],
        max_tokens=settings["max_tokens"],
    )
    begin = Templates(
        templates["analyse"].replace("{cur_step}", str(settings["cur_step"])), templates["verify"], templates["output"]
    )
    found = asyncio.run(verify_step(plan, begin, say=say, execute=execute, count=lambda text: len(text.split())))
    assert next(script, None) is None, "the script was not used up"
    return {"calls": calls, "text": found.text, "reward": found.reward}


def tokens(step: Inputs, spelled: Mapping[int, str]) -> Tokens:
    """Give the script's tokens texts that spell it: the verdict's word, what stands before it, the rest."""
    text: str = step["text"]
    texts: list[str] = []
    for token in step["token_ids"]:
        before, word, after = text.rpartition(spelled[token]) if token in spelled else (text, "", "")
        if word:
            if texts:
                texts[-1] = before
            else:
                word = before + word  # "{Yes" is one token then
            text = after
        texts.append(word or text)
    top = tuple(
        tuple((int(token), spelled.get(int(token), "?"), value) for token, value in at.items())
        for at in step["logprobs"]
    )
    return Tokens(ids=tuple(step["token_ids"]), texts=tuple(texts), top=top)


def rpe(given: Inputs) -> dict[str, Any]:
    values = given["mc_after_step"]
    found, hard = progress_labels(given["root_mc"], values, eps=given["eps"]), hard_labels(values)
    return {
        "progress": found.progress,
        "labels": found.labels,
        "first_error_step1": one_based(first_error(found.labels)),
        "hard_labels": hard,
        "hard_first_error_step1": one_based(first_error(hard)),
    }


def one_based(index: int | None) -> int:
    return -1 if index is None else index + 1


def mc_score(given: Inputs) -> dict[str, Any]:
    flags = [given["own_answer_correct"]] if given["is_last_step"] else given["correct_flags"]
    return {"score": rollout_value(flags)}


def solution_score(given: Inputs) -> dict[str, Any]:
    steps = given["rewards"]
    return {
        "min": aggregate(steps, "min"),
        "last": aggregate(steps, "last"),
        "prod": aggregate(steps, "product"),
        "mean": aggregate(steps, "mean"),
    }


KINDS: Kinds = {
    ("reward", "released"): Kind(reward, 1e-12),
    ("vote_average", "released"): Kind(vote_average, 1e-12),
    ("first_error", "released"): Kind(first_bad, 0.0),
    ("normalize_boxed", "released"): Kind(boxes, 0.0),
    ("analysis_text", "released"): Kind(lambda given: {"text": analysis_text(given["text"])}, 0.0),
    ("code_executor", "released"): Kind(code_executor, 0.0),
    ("control_flow", "released"): Kind(control_flow, 1e-12),
    ("mc_score", "released"): Kind(mc_score, 1e-12),
    ("rpe", "paper"): Kind(rpe, 1e-12),
    ("solution_score", "paper"): Kind(solution_score, 1e-12),
    ("processbench_f1", "paper"): Kind(
        lambda given: {"f1": processbench_f1(given["acc_erroneous"], given["acc_correct"])}, 1e-12
    ),
}


@each_case("57")
def test_fixture_case(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    if case.kind in RUNS_CODE and shutil.which("bwrap") is None:
        pytest.skip("no bwrap here: apt-get install bubblewrap")
    agree(case, KINDS)

"""Card 59 (Xiao et al. 2025): PIR by the white-box engine with its reuse of prompts, pruning, counts, efficiency."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ponder.numerics.trace_pruning import (
    accuracy_per_token,
    greedy_removals,
    importance,
    perplexity,
    prune,
    removals,
)
from tests.parity.cases import Case, Kind, Kinds, folders

pytestmark = pytest.mark.torch

Inputs = Mapping[str, Any]
RATIO = re.compile(r"kept_rho(.+)")


def parts(path: Path) -> dict[str, dict[str, Any]]:
    """Return the arrays of each case of a file, by the first part of their names; "" holds those of no case."""
    import numpy

    found: dict[str, dict[str, Any]] = {}
    with numpy.load(path, allow_pickle=False) as file:
        for key in file.files:
            case, dot, name = key.partition(".")
            found.setdefault(case if dot else "", {})[name if dot else key] = file[key]
    return found


@cache
def engine(path: Path) -> Any:
    """Return the reading engine over the fixture's model; its state dict is a Llama of transformers."""
    import torch
    import transformers

    from ponder.models._hf_engine import Engine
    from ponder.models._hf_slots import Network

    found = parts(path)
    vocabulary, hidden, middle, layers, heads, kv_heads = map(int, found[""]["config"])
    config = transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=middle,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        rms_norm_eps=1e-6,
        tie_word_embeddings=False,
        max_position_embeddings=512,
    )
    module = transformers.LlamaForCausalLM(config).eval()
    module.load_state_dict({name: torch.tensor(value) for name, value in found["w"].items()})
    network = Network(module)
    return Engine(
        network, lambda ids: " ".join(map(str, ids)), ends=frozenset(), batch=4, cache_bytes=2**28, prompt_cache=4096
    )


def chain(given: Inputs) -> dict[str, Any]:
    import torch

    from ponder.models._hf_reading import Text, read_texts

    steps, start = [], 0
    for length in given["step_lengths"]:
        steps.append([int(i) for i in given["step_ids"][start : start + length]])
        start += length
    question, answer = [int(i) for i in given["question"]], tuple(int(i) for i in given["answer"])
    kinds = [str(kind) for kind in given["types"]]

    def read(places: Sequence[int]) -> tuple[float, ...]:
        prompt = (*question, *(token for at in places for token in steps[at]))
        with torch.inference_mode():
            (reading,) = read_texts(engine(given["file"]), [Text(prompt, answer, 0)])
        return reading.logprobs

    every = list(range(len(steps)))
    full = read(every)
    # The last step first, as `step_importance` does: then the engine has what stands before each step.
    without = {at: read([other for other in every if other != at]) for at in reversed(every)}
    scores = {at: importance(full, without[at]) for at in every}
    out: dict[str, Any] = {
        "answer_logprob_full": list(full),
        "ppl_full": perplexity(full),
        "answer_logprob_without": [list(without[at]) for at in every],
        "ppl_without": [perplexity(without[at]) for at in every],
        "pir": [scores[at] for at in every],
        "greedy_order": [[float(at), score] for at, score in greedy_removals(kinds, read)],
    }
    return out | _kept(kinds, scores, given["ratios"])


def table(given: Inputs) -> dict[str, Any]:
    import math

    kinds = [str(kind) for kind in given["types"]]
    full = [math.log(p) for p in given["full"]]
    without = [[math.log(p) for p in row] for row in given["without"]]
    scores = {at: importance(full, row) for at, row in enumerate(without)}
    out: dict[str, Any] = {
        "ppl_full": perplexity(full),
        "ppl_without": [perplexity(row) for row in without],
        "pir": list(scores.values()),
    }
    return out | _kept(kinds, scores, given["ratios"])


def count(given: Inputs) -> dict[str, Any]:
    return {"k": [[removals(int(n), float(rho)) for rho in given["rho"]] for n in given["n"]]}


def efficiency(given: Inputs) -> dict[str, Any]:
    pairs = zip(given["acc"], given["tokens"], strict=True)
    return {"eff": [accuracy_per_token(float(accuracy), float(tokens)) for accuracy, tokens in pairs]}


def _kept(kinds: Sequence[str], scores: Mapping[int, float], ratios: Sequence[str]) -> dict[str, Any]:
    return {f"kept_rho{ratio}": list(prune(kinds, scores, float(ratio))) for ratio in ratios}


KINDS: Kinds = {
    ("chain", "paper"): Kind(chain, 2e-4),
    ("table", "paper"): Kind(table, 1e-12),
    ("count", "paper"): Kind(count, 0.0),
    ("eff", "paper"): Kind(efficiency, 1e-12),
}
OUTPUTS = re.compile(r"answer_logprob_.*|ppl_.*|pir|kept_rho.*|greedy_order|k|eff")


def cases() -> list[Case]:
    found: list[Case] = []
    for folder in folders("59"):
        file = folder / "cases.npz"
        for name, given in parts(file).items():
            if name in ("", "w"):
                continue
            inputs = {key: value for key, value in given.items() if not OUTPUTS.fullmatch(key)}
            outputs = {key: value.tolist() for key, value in given.items() if OUTPUTS.fullmatch(key)}
            inputs |= {"file": file, "ratios": [m[1] for key in given if (m := RATIO.fullmatch(key))]}
            kind = "chain" if re.fullmatch(r"c\d+", name) else name
            found.append(Case("59", len(found), kind, "paper", name, inputs, outputs))
    return found


def each() -> pytest.MarkDecorator:
    if not (found := cases()):
        skip = pytest.mark.skip(reason="exempt: no cases of card 59 in PONDER_FIXTURES")
        return pytest.mark.parametrize("case", [pytest.param(None, marks=skip, id="none")])
    return pytest.mark.parametrize("case", found, ids=[f"{c.place:03}-{c.kind}-{c.name}" for c in found])


@each()
def test_case_agrees(case: Case, agree: Callable[[Case, Kinds], None]) -> None:
    agree(case, KINDS)

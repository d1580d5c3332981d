"""Throughput of n siblings of one prompt: ponder's full batch against transformers' own `generate`. Goal: 1.3 x.

Both sample the same law from the same weights with outputs of mixed length; the ways take turns and the medians over
the rounds are compared. Separate calls, one sibling after the other, are shown beside (8 of them a round).
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from typing import Any

import torch

import ponder
from ponder.core.model import Request, Sampling
from ponder.core.task import Message

PROMPT = "Write a story about a lighthouse. It may be one sentence or several paragraphs."
SEPARATE = 8


def own_generate(model: Any, request: Request) -> int:
    """Return the tokens that transformers' generate samples, padding not counted."""
    module, law = model.module, request.sampling
    text = model.tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.text} for m in request.messages], add_generation_prompt=True, tokenize=False
    )
    inputs = model.tokenizer(text, add_special_tokens=False, return_tensors="pt").to(module.device)
    end = model.tokenizer.eos_token_id
    with torch.inference_mode():
        out = module.generate(
            **inputs,
            do_sample=True,
            temperature=law.temperature,
            top_p=law.top_p,
            top_k=0,
            max_new_tokens=law.max_tokens,
            num_return_sequences=request.n,
            pad_token_id=end,
        )[:, inputs["input_ids"].shape[1] :]
    return sum(min(row.index(end) + 1, len(row)) if end in row else len(row) for row in out.tolist())


def rate(start: float, tokens: int) -> float:
    return tokens / (time.perf_counter() - start)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="hf:smollm2")
    parser.add_argument("-n", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model: Any = ponder.load(options.model)
    law = Sampling(max_tokens=options.max_tokens)
    rates: dict[str, list[float]] = {"ponder": [], "generate": [], "separate calls": []}
    for seed in range(options.rounds):
        request = Request(messages=(Message("user", PROMPT),), n=options.n, seed=1000 * seed, sampling=law)
        start = time.perf_counter()
        done = await model.generate(request)
        rates["ponder"].append(rate(start, sum(c.usage.completion_tokens for c in done)))
        start = time.perf_counter()
        rates["generate"].append(rate(start, own_generate(model, request)))
        start = time.perf_counter()
        alone = [(await model.generate(request.sibling(i)))[0] for i in range(min(SEPARATE, options.n))]
        rates["separate calls"].append(rate(start, sum(c.usage.completion_tokens for c in alone)))
        read = sum(c.sent.prompt_tokens - c.sent.cached_tokens for c in done)
    median = {name: statistics.median(values) for name, values in rates.items()}
    for name, value in median.items():
        print(f"{name:16} {value:8.1f} tokens/s")
    print(f"prompt of {done[0].usage.prompt_tokens} tokens for {options.n} siblings: {read} read in the last round")
    print(f"against separate calls: {median['ponder'] / median['separate calls']:.2f} x")
    print(
        f"against generate(num_return_sequences={options.n}): {median['ponder'] / median['generate']:.2f} x, goal 1.3"
    )
    await model.close()


if __name__ == "__main__":
    asyncio.run(main())

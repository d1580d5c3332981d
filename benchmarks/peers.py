"""The same best-of-8 job in ponder, optillm and its-hub against the same stub: wall, calls, tokens told and served.

Each peer is installed from PyPI, pinned, into an environment of its own in the user's cache (once; needs the network),
without what only its local models need: optillm's list begins with torch and would bring gigabytes of CUDA. Where an
install fails the table says why. The job: 8 samples of one prompt, each judged by the same model (`best_of_n` with
`judge`; `best_of_n_sampling`; `BestOfN` with `LLMJudge`), every library at its defaults
and with its client kept open. The stub answers after 20 ms, with another text each time; its words are no verdict, so
each library falls back on its own rule, at the same cost. Printed are medians over interleaved rounds, every library
warmed up. Tokens served are the stub's own count.
Run: python -m benchmarks.peers [rounds]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.stub_server import counts, running

N, LATENCY, MAX_TOKENS = 8, 0.02, 64
PROMPT = "What is 6 times 7? Reply with just the number."
ROOT = Path(__file__).parent.parent
# What a peer's best-of-n needs to be imported: where more than one is named, the first comes without its own list.
PEERS: dict[str, tuple[str, ...]] = {
    "optillm": (
        "optillm==0.4.0",
        "aiohttp", "cerebras_cloud_sdk", "flask", "math-verify", "networkx", "numpy", "openai", "pyyaml", "z3-solver",
    ),
    "its-hub": ("its_hub[iaas]==1.2.0",),
}  # fmt: skip
Told = dict[str, int | None]
Job = Callable[[], Told]


# -- the job in each library: returns the tokens that it reports ------------------------------------------------------


def ponder_job(url: str) -> Job:
    from ponder import Sampling, Task, load, solve

    task, law = Task.of(PROMPT), Sampling(max_tokens=MAX_TOKENS)
    model, loop = load(f"openai:{url}#stub", kind="vllm"), asyncio.Runner()

    def run() -> Told:
        result = loop.run(solve(task, model=model, method="best_of_n", verifier="judge", n=N, sampling=law))
        paid = result.paid.values()
        return {
            "completion": sum(usage.completion_tokens for usage in paid),
            "prompt": sum(usage.prompt_tokens for usage in paid),
        }

    return run


def optillm_job(url: str) -> Job:
    from openai import OpenAI  # type: ignore[import-not-found,unused-ignore]  # in the peer's environment
    from optillm.bon import best_of_n_sampling  # type: ignore[import-not-found,unused-ignore]

    client = OpenAI(api_key="none", base_url=url)

    def run() -> Told:
        _, tokens = best_of_n_sampling(
            "You are helpful.", PROMPT, client, "stub", N, request_config={"max_tokens": MAX_TOKENS}
        )
        return {"completion": tokens, "prompt": None}

    return run


def its_hub_job(url: str) -> Job:
    from its_hub import BestOfN, LLMJudge, OpenAICompatibleLanguageModel  # type: ignore[import-not-found,unused-ignore]

    model = OpenAICompatibleLanguageModel(url, "none", "stub", max_completion_tokens=MAX_TOKENS)
    method, loop = BestOfN(LLMJudge(model)), asyncio.Runner()

    def run() -> Told:
        result = loop.run(method.ainfer(model, PROMPT, budget=N, return_response_only=False))
        return {"completion": result.usage.completion_tokens, "prompt": result.usage.prompt_tokens}

    return run


JOBS: dict[str, Callable[[str], Job]] = {"ponder": ponder_job, "optillm": optillm_job, "its-hub": its_hub_job}


def work(name: str, url: str) -> None:
    """Run the job once for each line of the input."""
    job = JOBS[name](url)
    for _ in sys.stdin:
        start, used = time.perf_counter(), time.process_time()
        told = job()
        figures = {"wall": time.perf_counter() - start, "cpu": time.process_time() - used, **told}
        print(json.dumps(figures), flush=True)


# -- environments and the table ---------------------------------------------------------------------------------------


def python_of(name: str) -> str:
    """Return the interpreter of a peer's environment, which is made where it is not there yet.

    Raises:
        RuntimeError: the install failed; the last line of what pip said.
    """
    from ponder.models.convert import cache_directory

    home = cache_directory() / "peers" / name
    python, stamp = home / "bin" / "python", home / "installed.json"
    wanted = json.dumps(PEERS[name])
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return str(python)
    first, *others = PEERS[name]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    commands = [[sys.executable, "-m", "venv", "--clear", str(home)]]
    commands += [[*pip, "--no-deps", first], [*pip, *others]] if others else [[*pip, first]]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        except subprocess.TimeoutExpired as err:
            raise RuntimeError("the install took more than 10 minutes") from err
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
    stamp.write_text(wanted, encoding="utf-8")
    return str(python)


@contextmanager
def worker(name: str, python: str, url: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """Keep a library's process open and give a function that runs the job in it."""
    command = [python, "-m", "benchmarks.peers", name, url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, cwd=ROOT, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdin is not None
        assert process.stdout is not None

        def once() -> dict[str, Any]:
            print(file=process.stdin, flush=True)
            line = process.stdout.readline()
            if not line:
                raise RuntimeError((process.stderr.read().strip().splitlines() or ["it ended"])[-1])
            figures: dict[str, Any] = json.loads(line)
            return figures

        try:
            yield once
        finally:
            process.terminate()


def main(rounds: int) -> None:
    absent: dict[str, str] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    with running(LATENCY) as url, ExitStack() as stack:
        runs: dict[str, Callable[[], dict[str, Any]]] = {}
        for name in JOBS:
            try:
                python = python_of(name) if name in PEERS else sys.executable
                once = stack.enter_context(worker(name, python, url))
                once()  # imports and connections
            except (RuntimeError, BrokenPipeError) as err:
                absent[name] = str(err) or type(err).__name__
                continue
            runs[name] = once
        for _ in range(rounds):
            for name, once in runs.items():
                before = counts(url)
                figures = once()
                after = counts(url)
                figures |= {f"served {unit}": after[unit] - before[unit] for unit in after}
                rows.setdefault(name, []).append(figures)
    print(f"best of {N} with a judge, {LATENCY * 1000:.0f} ms stub, medians of {rounds} interleaved rounds")
    told = "told / served: completion"
    print(f"{'':10}{'wall ms':>9}{'CPU ms':>8}{'requests':>10}{'answers':>9}{told:>27}{'prompt':>15}")
    for name, measured in rows.items():
        wall, cpu = (statistics.median(row[key] for row in measured) * 1000 for key in ("wall", "cpu"))
        last = measured[-1]
        cells = [share(last[kind], last[f"served {kind}"]) for kind in ("completion", "prompt")]
        print(
            f"{name:10}{wall:9.1f}{cpu:8.1f}{last['served calls']:10}{last['served choices']:9}"
            f"{cells[0]:>27}{cells[1]:>15}"
        )
    for name, why in absent.items():
        print(f"{name:10} absent: {why}")


def share(told: int | None, served: int) -> str:
    return f"{'nothing' if told is None else told} / {served}"


if __name__ == "__main__":
    if len(sys.argv) > 2:
        work(*sys.argv[1:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)

"""Your own endpoint: any OpenAI-compatible server (vLLM, SGLang, llama.cpp, Ollama, OpenAI).

Run: python examples/own_endpoint.py http://127.0.0.1:8000/v1 MODEL-NAME
The key is read from OPENAI_API_KEY where the server wants one.
"""

from __future__ import annotations

import sys

from ponder import Task, load, solve_sync

if __name__ == "__main__":
    url, name = sys.argv[1:3]
    task = Task.of("What is 17 times 3? Reply with just the number.", answer="number")
    result = solve_sync(task, model=load(f"openai:{name}", base_url=url), method="self_consistency", n=8)
    print(result.answer, result.paid)

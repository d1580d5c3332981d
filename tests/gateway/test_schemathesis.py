"""Requests made up from our own OpenAPI document: none ends in a 5xx, and every reply is as the document says.

Schemathesis brings its own pytest and hypothesis, so it runs as a program from an environment of its own: on the path,
or named by PONDER_SCHEMATHESIS. `pip install schemathesis` in any environment is all (4.32 was run).
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ponder.gateway.settings import RequestRules
from ponder.models.scripted import ScriptedModel
from tests.gateway.house import scripted, serving

PROGRAM = (
    os.environ.get("PONDER_SCHEMATHESIS")
    or shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    or shutil.which("schemathesis")
)
# A well-formed request may still ask for a model that is not there, or for what its model cannot do: a 400 says so.
EXCLUDED = "positive_data_acceptance"


@pytest.mark.slow
async def test_made_up_requests_find_no_fault(tmp_path: Path) -> None:
    if PROGRAM is None:
        pytest.skip("exempt: schemathesis is not installed (it runs from an environment of its own)")
    rules = RequestRules(max_candidates=4, max_seconds=5.0)
    settings = replace(scripted(request=rules), roles={"judge": "m"})
    async with serving(settings, {"m": ScriptedModel()}) as house:
        command = [PROGRAM, "run", f"{house.url}/openapi.json", "--max-examples", "20", "--seed", "1", "--no-color"]
        command += ["--exclude-checks", EXCLUDED, "--request-timeout", "60", "--continue-on-failure"]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        told, _ = await process.communicate()
    text = told.decode(errors="replace")
    assert process.returncode == 0, text[-5000:]
    assert re.search(r"(\d+) generated, \1 passed", text), text[-5000:]

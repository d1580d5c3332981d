from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponder.core.errors import BadInput, ConfigError, UnknownName
from ponder.tasks.countdown import Countdown
from ponder.tasks.loaders.load import FORMATS, load_problems, save_problems
from ponder.tasks.programs import Programs

GSM = [{"question": f"{n} + 1?", "answer": f"<<{n}+1={n + 1}>>\n#### {n + 1}"} for n in range(3)]


def lines(file: Path, rows: list) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def test_family_is_drawn_with_its_settings() -> None:
    assert load_problems("countdown", count=4, seed=9, level=2) == Countdown(level=2).generate(4, 9)
    with pytest.raises(ConfigError, match="how many"):
        load_problems("countdown")
    with pytest.raises(ConfigError, match="no setting 'levle'"):
        load_problems("countdown", count=1, levle=2)
    with pytest.raises(ConfigError, match="count"):
        load_problems("countdown", count=-1)


def test_format_reads_a_file(tmp_path: Path) -> None:
    source = "gsm8k:" + lines(tmp_path / "test.jsonl", GSM)
    assert [problem.reference for problem in load_problems(source)] == ["1", "2", "3"]
    assert [problem.reference for problem in load_problems(source, count=2)] == ["1", "2"]
    with pytest.raises(ConfigError, match="no setting 'prompt'"):
        load_problems(source, prompt="{question}")
    with pytest.raises(ConfigError, match="no setting 'split'"):
        load_problems(source, split="train")


def test_own_file_is_mapped_by_columns(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("q,gold,key\nHow much is 1 + 1?,2,a\n1 + 2?,3,b\n", encoding="utf-8")
    mapped: dict[str, Any] = {"prompt": "{q} Reply briefly.", "reference": "gold", "answer": "number", "id": "key"}
    first, second = load_problems(str(file), **mapped)
    assert (first.task.prompt, first.reference) == ("How much is 1 + 1? Reply briefly.", "2")
    assert (first.task.id, second.task.id) == ("a", "b")
    file.write_text(file.read_text(encoding="utf-8") + "3?,3,a\n", encoding="utf-8")
    assert len(load_problems(str(file), count=2, **mapped)) == 2
    with pytest.raises(BadInput, match=r"mine\.csv:4: column 'key': 'a' names an earlier row too"):
        load_problems(str(file), **mapped)
    with pytest.raises(BadInput, match=r"mine\.csv:2: no column 'reference'"):
        load_problems(str(file), prompt="{q}")
    with pytest.raises(ConfigError, match="no setting 'column'"):
        load_problems(str(file), column="q")
    with pytest.raises(ConfigError, match="template"):
        load_problems(str(file), **{**mapped, "prompt": "{q"})


def test_plain_file_needs_no_mapping(tmp_path: Path) -> None:
    rows = [{"prompt": "2 + 2?", "reference": 4, "answer": "number"}]
    (problem,) = load_problems(lines(tmp_path / "p.jsonl", rows), answer="{answer}")
    assert (problem.task.prompt, problem.task.answer, problem.reference) == ("2 + 2?", "number", "4")
    for wrong in ('{"prompt": "x"}', "[]", "{", '{"prompt": "", "reference": "x"}'):
        (tmp_path / "p.jsonl").write_text(wrong, encoding="utf-8")
        with pytest.raises(BadInput, match=r"p\.jsonl:1"):
            load_problems(str(tmp_path / "p.jsonl"))


def test_saved_problems_come_back(tmp_path: Path) -> None:
    problems = [*Countdown().generate(3, 1), *Programs().generate(3, 1)]
    save_problems(tmp_path / "kept.jsonl", problems)
    assert load_problems(f"problems:{tmp_path / 'kept.jsonl'}") == problems
    lines(tmp_path / "kept.jsonl", [{"v": 1, "task": {}}])
    with pytest.raises(BadInput, match=r"kept\.jsonl:1: not a problem"):
        load_problems(f"problems:{tmp_path / 'kept.jsonl'}")
    with pytest.raises(BadInput, match="cannot write"):
        save_problems(tmp_path / "no" / "kept.jsonl", problems)


def test_hub_is_reached_by_format_by_address_and_for_own_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*path: str, split: str) -> list[dict[str, str]]:
        asked.append(("/".join(path), split))
        return list(GSM)

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    known = load_problems("hub:gsm8k")
    assert known == load_problems("gsm8k:hub:openai/gsm8k/main", split="train")
    (own,) = load_problems("hub:owner/mine", prompt="{question}", reference="answer", count=1, split="dev")
    assert own.reference == GSM[0]["answer"]
    assert asked == [("openai/gsm8k/main", "test"), ("openai/gsm8k/main", "train"), ("owner/mine", "dev")]
    with pytest.raises(ConfigError, match="no address on the hub"):
        load_problems("hub:mawps")


def test_mmlu_files_have_no_header(tmp_path: Path) -> None:
    (tmp_path / "law_test.csv").write_text('"Who, then?",me,you,we,they,C\n', encoding="utf-8")
    (problem,) = load_problems(f"mmlu:{tmp_path / 'law_test.csv'}")
    assert problem.reference == "C"
    assert problem.task.prompt.startswith("Who, then?\nA. me\n")


def test_unknown_source_names_families_and_formats() -> None:
    with pytest.raises(UnknownName, match=r"Did you mean 'countdown'.*gsm8k"):
        load_problems("countdwn", count=1)
    with pytest.raises(UnknownName, match="gsm8k"):
        load_problems("gms8k:test", count=1)
    assert all(not chosen.hub or "/" in chosen.hub for chosen in FORMATS.values())

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ponder import ScriptedModel
from ponder.core.errors import BadInput, ConfigError
from ponder.planning.difficulty import Bins, Evidence
from ponder.planning.policy import Choice, Known, Policy, Probe, load_policy, previous, roll_back

MODEL = ScriptedModel(replies=["4"])


def a_policy(**changes: Any) -> Policy:
    return Policy(
        **{
            "models": {"policy": Known(name=MODEL.name, fingerprint=MODEL.info.fingerprint)},
            "otherwise": Choice(method="self_consistency", settings={"n": 8}),
            "probe": Probe(n=4),
            "bins": Bins(edges=(0.75,), names=("1", "2")),
            "table": {"1": Choice(method="greedy")},
            "evidence": {"questions": 120},
            **changes,
        }
    )


def test_a_policy_survives_its_file(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "policy.json"
    policy = a_policy()
    policy.save(file)
    assert load_policy(file) == policy
    assert json.loads(file.read_text())["schema"] == 1


def test_saving_keeps_the_version_before_and_rolls_back(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    old, new = a_policy(), a_policy(table={})
    old.save(file)
    with pytest.raises(BadInput, match="no version before"):
        roll_back(file)
    new.save(file)
    assert load_policy(previous(file)) == old
    assert roll_back(file) == old
    assert (load_policy(file), load_policy(previous(file))) == (old, new)


def test_the_probe_says_which_choice() -> None:
    policy = a_policy()
    easy, hard = Evidence(groups=(0, 0, 0, 3)), Evidence(groups=(0, 1, 2, 3))
    assert policy.pick(easy) == ("1", Choice(method="greedy"))
    assert policy.pick(hard) == ("2", policy.otherwise)
    # Samples beyond the probe play no part.
    assert policy.pick(Evidence(groups=(0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3)))[0] == "2"
    assert policy.pick(Evidence(groups=()))[1] == policy.otherwise
    assert policy.pick(None)[1] == policy.otherwise


def test_other_models_are_refused() -> None:
    policy = a_policy()
    policy.check({"policy": MODEL})
    with pytest.raises(ConfigError, match="run `ponder bench` and `ponder tune`"):
        policy.check({"policy": ScriptedModel(replies=["another"], name="other")})
    two = a_policy(
        models={"policy": policy.models["policy"], "large": Known(name="big", fingerprint="x")},
        table={"2": Choice(method="greedy", role="large")},
    )
    with pytest.raises(ConfigError, match="'large' \\(big\\): give one"):
        two.check({"policy": MODEL})


def test_components_that_are_gone_are_refused() -> None:
    with pytest.raises(ConfigError, match="no method is called"):
        a_policy(otherwise=Choice(method="gredy")).check({"policy": MODEL})
    with pytest.raises(ConfigError, match="no setting"):
        a_policy(otherwise=Choice(method="greedy", settings={"k": 1})).check({"policy": MODEL})


@pytest.mark.parametrize(
    "change",
    [
        {"table": {"9": Choice(method="greedy")}},
        {"probe": None},
        {"table": {"1": Choice(method="greedy", role="large")}},
    ],
)
def test_contradictions_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        a_policy(**change)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": 2, "estimator": "oracle"}, {"n": 2, "verifier": "arithmetic"}])
def test_impossible_probes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Probe(**wrong)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}', '{"schema": 1, "models": 3}', "not json"])
def test_files_that_are_no_policy_are_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text)
    with pytest.raises(BadInput, match="policy"):
        load_policy(file)

"""Devices by name, and what is moved to them."""

from __future__ import annotations

import pytest

from ponder.bench.adapt_device import choose_device, moved
from ponder.bench.adapt_subjects import Subject
from ponder.core.errors import BadInput
from ponder.tasks.streams import Domain

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_auto_takes_what_is_there_and_a_name_is_obeyed() -> None:
    there = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    assert choose_device() == there
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "mps:7", "xpu:9", "toaster", "", "meta"])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(BadInput, match=r"take auto or one of cpu") as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)


def test_everything_of_a_subject_that_a_method_takes_is_moved_and_the_model_of_the_caller_is_not() -> None:
    model, expert = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    x, y = torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64)
    one = Subject(
        name="s",
        model=model,
        domains=(Domain(name="d", x=x, y=y),),
        source=[(x, y)],
        given={"t3_merging.expert": expert, "classes": x, "adanpc.head": "1"},
    )
    there = one.on(torch.device("meta"))
    assert {there.model.weight.device.type, there.given["t3_merging.expert"].weight.device.type} == {"meta"}
    assert {there.source[0][0].device.type, there.given["classes"].device.type} == {"meta"}
    assert there.given["adanpc.head"] == "1"
    assert model.weight.device.type == expert.weight.device.type == "cpu"
    assert one.on("cpu").model is model, "what is there already is not copied"


def test_containers_keep_their_kind() -> None:
    made = moved({"a": [torch.zeros(1), (torch.zeros(1), 3)]}, "meta")
    assert made["a"][0].device.type == made["a"][1][0].device.type == "meta"
    assert made["a"][1][1] == 3

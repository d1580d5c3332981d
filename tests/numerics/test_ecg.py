"""Preparing signals: one scale for all leads, mended samples, swapped leads, padding."""

from __future__ import annotations

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.numerics.ecg import mend, prepare

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_one_scale_over_all_leads() -> None:
    out = prepare(torch.tensor([[0.0, 1.0], [2.0, 4.0]]), length=2)
    assert out.tolist() == [pytest.approx([0, 0.25]), pytest.approx([0.5, 1.0])]


def test_constant_signals_are_zero_and_finite() -> None:
    assert prepare(torch.full((3, 7), 5.0), length=7).abs().sum() == 0


def test_short_signals_are_padded_and_leads_swapped() -> None:
    signal = torch.arange(12.0).view(6, 2)
    out = prepare(signal, length=4, swap=(4, 5))
    assert out.shape == (6, 4)
    assert out[:, 2:].abs().sum() == 0
    torch.testing.assert_close(out[4], prepare(signal, length=4)[5])


def test_used_cuts_before_padding() -> None:
    assert prepare(torch.rand(2, 10), length=8, used=3)[:, 3:].abs().sum() == 0


def test_broken_samples_take_the_mean_of_those_around() -> None:
    signal = torch.tensor([[1.0, 1.0, float("nan"), 3.0, float("inf"), 3.0]])
    assert mend(signal, around=1)[0].tolist() == pytest.approx([1, 1, 2, 3, 3, 3])
    assert mend(torch.full((1, 4), float("nan")))[0].tolist() == [0, 0, 0, 0]


def test_what_is_no_signal() -> None:
    with pytest.raises(BadInput):
        prepare(torch.rand(5))
    with pytest.raises(ConfigError):
        prepare(torch.rand(2, 5), length=0)

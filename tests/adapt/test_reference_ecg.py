"""Simulated electrocardiograms: what a condition is called must be measurable in the leads, by other means."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from ponder.core.errors import MissingExtra, PonderError

torch = pytest.importorskip("torch")
neurokit2 = pytest.importorskip("neurokit2")
np = pytest.importorskip("numpy")
scipy_signal = pytest.importorskip("scipy.signal")
pytestmark = pytest.mark.torch


@cache
def signals(*codes: str, count: int = 4, seed: int = 3) -> Any:
    """Noisy records (N, 12, 500) with these conditions and no others."""
    from ponder.adapt._reference_ecg import plan_records, record, simulate

    plans = [plan for plan in plan_records(2000, seed=seed) if plan.found == codes][:count]
    assert len(plans) == count
    return record(plans, simulate(plans)).signals.numpy()


def lead(name: str, *codes: str) -> list[Any]:
    from ponder.adapt._reference_ecg import LEADS

    return list(signals(*codes)[:, LEADS.index(name)])


def peaks(x: Any) -> Any:
    """Samples of the R waves of a lead where they point up, by prominence."""
    smooth = np.convolve(x, np.ones(3) / 3, "same")
    return scipy_signal.find_peaks(smooth, prominence=0.5 * np.ptp(smooth), distance=25)[0]


def beat(x: Any) -> Any:
    """The mean beat, 0.4 seconds to both sides of R, as parts of R's height over the rest."""
    tops = [top for top in peaks(x) if 40 <= top < len(x) - 40]
    mean = np.mean([x[top - 40 : top + 41] for top in tops], 0)
    rest = np.median(mean[8:14])  # behind T, before P
    return (mean - rest) / (mean[40] - rest)


@pytest.mark.parametrize(("codes", "low", "high"), [((), 55, 92), (("fast",), 104, 160), (("slow",), 35, 56)])
def test_rates_are_those_of_neurokits_own_peak_finder(codes: tuple[str, ...], low: float, high: float) -> None:
    for x in lead("II", *codes):
        _, found = neurokit2.ecg_peaks(neurokit2.ecg_clean(x, sampling_rate=100), sampling_rate=100)
        rate = 6000 / np.median(np.diff(found["ECG_R_Peaks"]))  # at the edges it finds too many or too few
        assert low < rate < high
        assert 6000 / np.median(np.diff(peaks(x))) == pytest.approx(rate, rel=0.05)


def test_only_fibrillation_is_irregular() -> None:
    def spreads(*codes: str) -> list[float]:
        gaps = [np.diff(peaks(x)) for x in lead("II", *codes)]
        return [float(gap.std() / gap.mean()) for gap in gaps]

    assert max(spreads()) < 0.06
    assert max(spreads("slow")) < 0.06
    assert np.mean(spreads("fib")) > 0.12
    assert np.mean(spreads("fast", "fib")) > 0.12


def test_fibrillation_has_no_p_wave() -> None:
    def p_wave(x: Any) -> float:
        mean = beat(x)
        return float(mean[20:27].mean() - (mean[8:14].mean() + mean[31:34].mean()) / 2)

    assert min(p_wave(x) for x in lead("II")) > 0.08
    assert max(abs(p_wave(x)) for x in lead("II", "fib")) < 0.04


def test_block_is_wide_and_notched_and_its_t_wave_turned() -> None:
    def width(x: Any) -> float:
        """Seconds that QRS stays over a third of its height."""
        over = beat(x)[20:61] > 1 / 3
        return float(over.sum() / 100)

    assert max(width(x) for x in lead("V5")) < 0.09
    assert min(width(x) for x in lead("V5", "block")) > 0.11
    assert min(width(x) for x in lead("V5", "fib", "block")) > 0.09
    assert min(beat(x)[60:75].mean() for x in lead("V5")) > 0
    assert max(beat(x)[60:75].mean() for x in lead("V5", "block")) < 0
    notched = [scipy_signal.find_peaks(beat(x)[28:54], prominence=0.04, height=0.5)[0] for x in lead("V5", "block")]
    assert np.mean([len(tops) >= 2 for tops in notched]) > 0.5


def test_st_segments_are_raised_lowered_or_level() -> None:
    def levels(name: str, *codes: str) -> list[float]:
        """ST against the rest before P, in parts of R."""
        return [float(beat(x)[49:53].mean()) for x in lead(name, *codes)]

    assert max(abs(level) for level in levels("V5")) < 0.12
    for name in ("II", "V5"):
        assert min(levels(name, "injury")) > 0.15
        assert max(levels(name, "ischemia")) < -0.15


def test_twelve_leads_keep_the_laws_of_einthoven_and_goldberger() -> None:
    from ponder.adapt._reference_ecg import LEADS, _matrix

    rows = dict(zip(LEADS, _matrix(), strict=True))
    torch.testing.assert_close(rows["I"] + rows["III"], rows["II"])
    torch.testing.assert_close(rows["aVR"] + rows["aVL"] + rows["aVF"], torch.zeros(3))
    assert torch.linalg.matrix_rank(_matrix()) == 3


def test_labels_reports_and_ranges() -> None:
    from ponder.adapt._reference_ecg import CONDITIONS, draw_records, plan_records, vocabulary

    found = draw_records(12, seed=1)
    assert found.signals.shape == (12, 12, 500)
    assert (found.signals.amin((1, 2)) == 0).all()
    assert (found.signals.amax((1, 2)) > 0.999).all()
    for labels, report in zip(found.labels.tolist(), found.reports, strict=True):
        for there, (_, phrases) in zip(labels, CONDITIONS.values(), strict=True):
            assert any(phrase in report for phrase in phrases) == bool(there)
    drawn = plan_records(500)
    assert {code for plan in drawn for code in plan.found} == set(CONDITIONS)
    assert not any({"fast", "slow"} <= set(plan.found) or {"injury", "ischemia"} <= set(plan.found) for plan in drawn)
    assert {phrase for plan in drawn for phrase in plan.report.split(", ")} >= set(vocabulary())


def test_a_seed_gives_the_same_records_and_more_of_them_the_same_first_ones() -> None:
    from ponder.adapt._reference_ecg import draw_records

    one, more, other = draw_records(2, seed=4), draw_records(3, seed=4), draw_records(2, seed=5)
    assert more.signals[:2].equal(one.signals)
    assert more.reports[:2] == one.reports
    assert not other.signals.equal(one.signals)


class Broken:
    """neurokit2 whose first runs jump over an R wave, as its solver does at times."""

    def __init__(self, broken: int) -> None:
        self.broken = broken
        self.states: list[int] = []

    def ecg_simulate(
        self, *, length: int, sampling_rate: int, heart_rate: float, random_state: int, **rest: Any
    ) -> Any:
        self.states.append(random_state)
        time = np.arange(length) / sampling_rate
        phase = (time * heart_rate / 60 + 0.5) % 1 - 0.5
        run = np.exp(-((phase / 0.03) ** 2) / 2)
        if len(self.states) <= self.broken:
            since = time - time[-1] / 2
            run = run + 0.6 * (since > 0) * np.exp(-since / 2)
        return run


def test_runs_with_a_step_are_drawn_anew() -> None:
    from ponder.adapt._reference_ecg import _run, plan_records

    plan = plan_records(1)[0]
    whole, twice = Broken(0), Broken(1)
    run, rate = _run(plan, whole)
    assert (run.shape, rate) == ((3, 800), plan.heart_rate)
    assert len(set(whole.states)) == 1, "three axes have one rhythm"
    run, rate = _run(plan, twice)
    assert run.shape == (3, 800)
    assert rate == pytest.approx(0.99 * plan.heart_rate)
    assert len(twice.states) == 4
    assert twice.states[0] != twice.states[1]
    with pytest.raises(PonderError, match="broken runs"):
        _run(plan, Broken(1000))


def test_settings_that_never_run_through_are_run_at_a_rate_nearby() -> None:
    """With these, whatever the rhythm, the solver of scipy 1.17 jumps over an R wave at the planned rate."""
    from ponder.adapt._reference_ecg import plan_records, simulate
    from ponder.core.seeds import derive_seed

    plan = plan_records(450, seed=derive_seed(2, "ecg"))[120]
    assert plan.found == ("fib", "injury")
    (vector,) = simulate([plan])
    assert vector.isfinite().all()


def test_beats_that_do_not_come_have_no_pause_before_them() -> None:
    from ponder.adapt._reference_ecg import _set_apart

    beats = torch.arange(800.0).expand(3, 800)
    apart = _set_apart(beats, 60.0, (0.5,) * 9)
    assert apart.shape == (3, 800 + 8 * 50), "eight beats in eight seconds"
    assert (apart.diff() >= 0).all()


def test_what_could_hang_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt._reference_ecg import plan_records, simulate

    assert neurokit2.signal_resample([1.0] * 8, sampling_rate=1, desired_sampling_rate=200)[-1] == 1
    monkeypatch.setattr(neurokit2, "signal_resample", lambda *given, **rest: [1.0, 0.0])
    with pytest.raises(PonderError, match="could hang in 8 seconds"):
        simulate(plan_records(1))


def test_a_missed_beat_is_seen() -> None:
    from ponder.adapt._reference_ecg import _even

    phase = (torch.arange(800) / 80 + 0.5) % 1 - 0.5
    run = torch.exp(-((phase / 0.03) ** 2) / 2)
    assert _even(run, 0.8)
    run[440:520] = 0
    assert not _even(run, 0.8)


def test_without_neurokit_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.adapt._reference_ecg import draw_records

    monkeypatch.setitem(sys.modules, "neurokit2", None)
    with pytest.raises(MissingExtra, match=r"pip install 'ponder\[adapt\]'"):
        draw_records(1)


def test_modules_do_not_load_neurokit_before_it_is_used() -> None:
    code = "import sys, ponder.bench._adapt_signals; print('neurokit2' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"

"""What a comparison of adapters says in words, and how it writes its numbers.

Drawn from plain values (`Comparison.to_dict`) alone. Source: our own. Cost: none.
Needs: nothing beyond the base install.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["Plain", "answer", "findings", "guarded", "limits", "share", "signed"]

Plain: TypeAlias = Mapping[str, Any]

_ALARMS = 3  # that are told


def answer(rows: Sequence[Plain]) -> str:
    """Say which method has the fewest errors, what that costs, and which others are not told apart from it."""
    source = next((row for row in rows if row["method"] == "source"), None)
    if source is None or len(rows) < 2:
        return ""
    best = next((row for row in rows if row["leads"]), None)
    if best is None:
        return f"no method is clearly better than the source model ({share(source['error'][0])} % wrong)."
    means, before = best["means"], source["means"]
    said = [
        f"{best['method']} has the fewest errors, {share(best['error'][0])} %: gain on the source model "
        f"{signed(best['gain'][0])} ({limits(best['gain'])})",
        f"calibration error (ECE) {share(means['ece'])} instead of {share(before['ece'])}",
    ]
    if means["forgetting"] is not None:
        said.append(f"{signed(means['forgetting'])} forgotten on clean data")
    if before["ms_per_sample"]:
        said.append(f"{means['ms_per_sample'] / before['ms_per_sample']:.1f} times the source model's time")
    level = [row["method"] for row in rows if row["behind"] and row["behind"][1] <= 0]
    apart = f" Not told apart from it: {', '.join(level)}." if level else " All others have more, beyond doubt."
    return f"{', '.join(said)}.{apart}"


def findings(rows: Sequence[Plain]) -> list[str]:
    """Say in words which methods are better or worse than source beyond doubt, and which are no other than a former."""
    lines = []
    judged = [row for row in rows if row["gain"] is not None]
    better = [row["method"] for row in judged if row["gain"][1] > 0]
    worse = [row["method"] for row in judged if row["gain"][2] < 0]
    unclear = [row["method"] for row in judged if row["method"] not in (*better, *worse)]
    for words, found in (
        ("Better than the source model", better),
        ("Worse than the source model", worse),
        ("No clear difference from the source model", unclear),
    ):
        if found:
            lines.append(f"{words}: {', '.join(found)}.")
    alike: dict[str, list[str]] = {}
    for row in rows:
        if row["alike"]:
            alike.setdefault(row["alike"][0], []).append(row["method"])
    for than, ours in alike.items():
        lines.append(f"Nearly the predictions of {than}, fewer than 1 % differ: {', '.join(ours)}.")
    return lines


def guarded(row: Plain) -> list[str]:
    """Say what a guard did, over all seeds."""
    guards = [run["guard"] for run in row["runs"] if run["guard"] is not None]
    if not guards:
        return []
    alarms = [alarm for guard in guards for alarm in guard["alarms"]]
    told = "; ".join(f"batch {a['batch'] + 1}: {a['reason']}, back to {a['back_to']}" for a in alarms[:_ALARMS])
    more = f"; and {len(alarms) - _ALARMS} more" if len(alarms) > _ALARMS else ""
    rested = (
        f"{sum(g['abstained'] for g in guards):,} of {sum(g['batches'] for g in guards):,} batches without an update"
    )
    count = f"{len(alarms)} alarm{'s' * (len(alarms) != 1)}" if alarms else "no alarm"
    return [f"{row['method']}: {count}, {rested}{f' ({told}{more})' if told else ''}."]


def share(value: float | None) -> str:
    """Write a share as a percentage; nothing where it is missing."""
    return "" if value is None else f"{100 * value:.1f}"


def signed(value: float | None) -> str:
    """Write a difference in points, with its sign."""
    return "" if value is None else f"{round(100 * value, 1) + 0.0:+.1f}"  # no minus before a 0


def limits(interval: Sequence[float] | None) -> str:
    """Write both limits; their signs tell whether 0 is between."""
    return "" if interval is None else f"{100 * interval[1]:+.1f} to {100 * interval[2]:+.1f}"

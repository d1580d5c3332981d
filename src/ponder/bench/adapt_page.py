"""A comparison of adapters as a study: tables, curves over time, and a page in the style of the others.

Drawn from plain values (`Comparison.to_dict`, table.json) alone, so that `ponder report` can draw it again.
Source: our own. Cost: drawing. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from ponder.bench.adapt_bench import STREAMS
from ponder.bench.adapt_findings import Plain, answer, findings, guarded, limits, share, signed
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.trend_plot import Scatter, draw_trends
from ponder.bench.svg_plot import COLOURS

__all__ = ["BRIEF", "NAME", "NOTES", "adapt_sections", "adapt_study", "brief_cells"]

NAME = "adapt"
BRIEF = ("method", "error", "gain", "95 %", "forgot", "ECE", "ms")  # of a terminal
NOTES = (
    "Each sample is predicted once, when it arrives; methods see no label. All methods get the same order.",
    "Gain: the source model's error less the method's, on the same samples, in points. Nothing is called better or "
    "worse where the interval holds 0. The method with the fewest errors is picked on these very samples, which "
    "flatters it a little; others are not told apart from it where the interval of that difference holds 0.",
    "Intervals are 95 %, each for itself, over the samples of one order; seeds are averaged. Samples of a stream are "
    "not independent, so intervals are rather too narrow, and of many comparisons one in twenty misses by chance.",
    "Clean, after: error on unshifted data with the adapter frozen after the stream; forgot: how much that is above "
    "before, in points. Empty where no clean data are given.",
    "ECE: expected calibration error, 15 bins; drift: that of the last third of the stream less that of the first, "
    "which also tells how hard the domains of both are.",
    "One class: share of the class predicted most often; where it rises far above its share of the labels, the model "
    "has collapsed.",
    "Forwards, backwards and ms are for each sample; ms is of this machine and whatever else ran on it. Holds: what "
    "the adapter keeps beside the model. Graph: what the first batch saves for its backward pass.",
    "Settings are defaults unless shown; none is tuned on these streams. Where a method's predictions are those of a "
    "simpler one, its updates hardly matter: default rates are the papers', for large nets: try lr first.",
)
_QUALITY = (
    "method",
    "error (95 %)",
    "gain on source (95 %)",
    "mean of domains",
    "clean, after",
    "forgot",
    "ECE",
    "drift",
    "one class",
)
_COST = ("method", "forwards", "backwards", "updates", "skipped", "ms", "holds, kB", "graph, kB")
_NUMBERED = 16  # domains that a caption names


def adapt_study(data: Plain) -> Study:
    """Return the study of a comparison.

    Args:
        data: as `Comparison.to_dict` returns it.
    """
    done, planned = len(data["rows"]), data["planned"]
    return Study(
        name=NAME,
        title=f"Adaptation at test time: {data['subject']}",
        facts=_facts(data),
        warning="" if done == planned else f"It ended after {done} of {planned} runs; the others are not here.",
        sections=tuple(adapt_sections(data)),
        notes=NOTES,
        data=data,
    )


def adapt_sections(data: Plain, *, named: bool = False) -> list[Section]:
    """Return the sections: all streams at a glance, then each.

    Args:
        data: as `Comparison.to_dict` returns it.
        named: put the subject's name and facts into the sections, for a page with others on it.
    """
    streams = list(dict.fromkeys(row["stream"] for row in data["rows"]))
    head = f"{data['subject']}: " if named else ""
    by_stream = {name: [row for row in data["rows"] if row["stream"] == name] for name in streams}
    sections = [_section(name, rows, head) for name, rows in by_stream.items()]
    answers = {name: answer([row for row in rows if row["runs"]]) for name, rows in by_stream.items()}
    if len(streams) == 1 and not named:
        return [replace(sections[0], lines=(*filter(None, answers.values()), *sections[0].lines))]
    glance = _glance(data, streams, f"{head}all streams", " · ".join(_facts(data)) if named else "")
    told = tuple(f"{name.replace('_', ' ')}: {answer}" for name, answer in answers.items() if answer)
    return [replace(glance, lines=told), *sections]


def brief_cells(row: Plain) -> tuple[str, ...]:
    """Return the cells under `BRIEF`."""
    error, gain, means = row["error"], row["gain"], row["means"]
    return (
        row["method"],
        share(error and error[0]),
        signed(gain and gain[0]),
        limits(gain),
        signed(means.get("forgetting")),
        share(means.get("ece")),
        _number(means.get("ms_per_sample")),
    )


def _facts(data: Plain) -> tuple[str, ...]:
    seeds = ", ".join(map(str, data["seeds"]))
    samples = sorted(set(data["samples"].values()))
    single = "single" in data["samples"]
    counted = f"{samples[0]:,}" if len(samples) == 1 else f"{samples[0]:,} to {samples[-1]:,}"
    return (
        *data["facts"],
        f"{counted} samples a stream",
        f"{len(data['domains'])} domain{'s' * (len(data['domains']) != 1)}",
        f"batches of {data['batch']}{', one by one in single' if single and data['batch'] > 1 else ''}",
        f"{'seeds' if len(data['seeds']) > 1 else 'seed'} {seeds}",
        "reset at each new domain" if data["reset"] == "domain" else "never reset",
        f"on {data['device']}",
    )


def _glance(data: Plain, streams: Sequence[str], title: str, note: str) -> Section:
    methods = list(dict.fromkeys(row["method"] for row in data["rows"]))
    found = {(row["method"], row["stream"]): row for row in data["rows"]}
    rows = tuple((method, *(_at_a_glance(found.get((method, name))) for name in streams)) for method in methods)
    said = "Error, and in brackets the gain on the source model; ? where the gain's interval holds 0."
    head = ("method", *(name.replace("_", " ") for name in streams))
    return Section(title=title, note=f"{note}. {said}" if note else said, tables=(Table(head=head, rows=rows),))


def _at_a_glance(row: Plain | None) -> str:
    if row is None or row["error"] is None:
        return "" if row is None else "did not run"
    error, gain = row["error"], row["gain"]
    if gain is None:
        return share(error[0])
    return f"{share(error[0])} ({signed(gain[0])}{'?' if gain[1] <= 0 <= gain[2] else ''})"


def _section(stream: str, rows: list[Plain], head: str) -> Section:
    ran = [row for row in rows if row["runs"]]
    idle = [f"{row['method']} did not run: {row['why_not']}" for row in rows if not row["runs"]]
    domains = list(ran[0]["domain_errors"]) if ran else []
    by_domain = tuple((d, *(share(row["domain_errors"].get(d)) for row in ran)) for d in domains)
    tables = [
        Table(head=_QUALITY, rows=tuple(map(_quality, ran))),
        Table(title="Cost", head=_COST, rows=tuple(map(_cost, ran))),
    ]
    if len(domains) > 1:
        tables.append(Table(title="Error by domain", head=("domain", *(row["method"] for row in ran)), rows=by_domain))
    return Section(
        title=f"{head}{stream.replace('_', ' ')}",
        note=STREAMS[stream][1] if stream in STREAMS else "",
        pictures=tuple(_picture(stream, shown) for shown in _groups(ran)) if ran else (),
        lines=(*findings(ran), *(line for row in ran for line in guarded(row)), *idle),
        tables=tuple(tables) if ran else (),
    )


def _picture(stream: str, rows: list[Plain]) -> Picture:
    stretch, several = rows[0]["stretch"], len(rows[0]["runs"]) > 1
    stretches = _kinds(rows[0]["domains"])
    length = rows[0]["runs"][0]["samples"]
    caption = f"Error of each stretch of {stretch:,} samples{', mean over seeds' if several else ''}."
    if 1 < len(stretches) <= _NUMBERED:
        caption += " Domains: " + ", ".join(f"{at} {name}" for at, (name, _) in enumerate(stretches, 1)) + "."
    elif stretches:
        caption += f" Borders are those of {len(stretches)} stretches of one domain each."
    return Picture(
        svg=draw_trends(
            [_series(row, at, len(rows), length) for at, row in enumerate(rows)],
            [(count / length, name) for name, count in stretches],
            title=f"Error over the stream {stream}",
            x="share of the stream seen",
            y="error",
        ),
        labels=tuple(row["method"] for row in rows),
        caption=caption,
    )


def _kinds(stretches: Sequence[Sequence[Any]]) -> list[tuple[str, int]]:
    """Return stretches as they are; of many, those of one kind at severities 1, 2, ... ("fog 1", "fog 2") as one."""
    if len(stretches) <= _NUMBERED:
        return [(name, count) for name, count in stretches]
    named = [(re.sub(r" \d+$", "", name), count) for name, count in stretches]
    return [(name, sum(count for _, count in same)) for name, same in groupby(named, key=itemgetter(0))]


def _groups(rows: list[Plain]) -> list[list[Plain]]:
    """Part the rows so that no two in a picture share a colour; the source model is in each."""
    source = [row for row in rows if row["method"] == "source"]
    others = [row for row in rows if row["method"] != "source"]
    room = COLOURS - len(source)
    return [[*source, *others[at : at + room]] for at in range(0, len(others), room)] or [source]


def _series(row: Plain, at: int, count: int, length: int) -> Scatter:
    """Return a curve with a mark at every few corners, at others than its neighbours': curves may hide each other."""
    step = row["stretch"]
    corners = [(min(k * step + step / 2, length) / length, error) for k, error in enumerate(row["curve"])]
    marks = [(*corner, f"stretch {k + 1}") for k, corner in enumerate(corners) if k % count == at % count]
    return Scatter(label=row["method"], points=tuple(marks), line=tuple(corners))


def _quality(row: Plain) -> tuple[str, ...]:
    error, gain, means = row["error"], row["gain"], row["means"]
    return (
        row["method"],
        f"{share(error[0])} ({100 * error[1]:.1f} to {100 * error[2]:.1f})",
        "" if gain is None else f"{signed(gain[0])} ({limits(gain)})",
        share(means["domain_error"]),
        share(means["clean_error"]),
        signed(means["forgetting"]),
        share(means["ece"]),
        signed(means["calibration_drift"]),
        share(means["dominant_share"]),
    )


def _cost(row: Plain) -> tuple[str, ...]:
    means = row["means"]
    return (
        row["method"],
        _number(means["forwards_per_sample"]),
        _number(means["backwards_per_sample"]),
        f"{means['updates']:,.0f}",
        f"{means['skipped']:,.0f}",
        _number(means["ms_per_sample"]),
        *(f"{means[name] / 1000:,.1f}" for name in ("state_bytes", "graph_bytes")),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"

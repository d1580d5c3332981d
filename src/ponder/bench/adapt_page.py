"""A comparison of adapters as a study: tables, curves over time, and a page in the style of the others.

Source: our own. Cost: drawing. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from ponder.bench.adapt_bench import STREAMS, Comparison, Row
from ponder.bench.studies.page import Picture, Section, Study, Table
from ponder.bench.studies.trend_plot import Scatter, draw_trends
from ponder.bench.svg_plot import COLOURS

__all__ = ["adapt_study"]

_HEAD = (
    "method",
    "error",
    "95 %",
    "gain on source",
    "95 %",
    "mean of domains",
    "clean, after",
    "forgot",
    "ECE",
    "one class",
    "forwards",
    "backwards",
    "ms",
)
_NOTES = (
    "Each sample is predicted once, when it arrives; methods see no label. All methods get the same order.",
    "Gain: the source model's error less the method's, on the same samples. No win is claimed where the interval holds "
    "0. Samples of a stream are not independent, so intervals are rather too narrow.",
    "Clean, after: error on unshifted data with the adapter frozen after the stream; forgot: how much that is above "
    "before.",
    "One class: share of the class predicted most often; where it rises far above its share of the labels, the model "
    "has collapsed.",
    "Forwards, backwards and ms are for each sample; ms is of this machine and whatever else ran on it.",
    "Settings are defaults unless shown; none is tuned on these streams.",
)


def adapt_study(found: Comparison, *, window: int = 0) -> Study:
    """Return the study; `window` samples make one point of the curves (0: about twenty points)."""
    streams = list(dict.fromkeys(row.stream for row in found.rows))
    seeds = ", ".join(map(str, found.seeds))
    facts = (*found.facts, f"batches of {found.batch}", f"seeds {seeds}")
    sections = [_section(name, [row for row in found.rows if row.stream == name], window) for name in streams]
    data = {
        "subject": found.subject,
        "batch": found.batch,
        "seeds": list(found.seeds),
        "rows": [row.to_dict() for row in found.rows],
    }
    return Study(
        name="adapt",
        title=f"Adaptation at test time: {found.subject}",
        facts=facts,
        sections=tuple(sections),
        notes=_NOTES,
        data=data,
    )


def _section(stream: str, rows: list[Row], window: int) -> Section:
    ran = [row for row in rows if row.runs]
    idle = [f"{row.method} did not run: {row.why_not}" for row in rows if not row.runs]
    pictures: tuple[Picture, ...] = ()
    if ran:
        length = len(ran[0].runs[0].right)
        step = window or max(1, length // 20)
        caption = f"Error of each stretch of {step:,} samples, mean over seeds."
        pictures = tuple(
            Picture(
                svg=draw_trends(
                    [_series(row, step, length) for row in shown],
                    title=f"Error over the stream {stream}",
                    x="share of the stream seen",
                    y="error",
                ),
                labels=tuple(row.method for row in shown),
                caption=caption,
            )
            for shown in _groups(ran)
        )
    domains = list(ran[0].runs[0].domain_errors) if ran else []
    by_domain = tuple(
        (d, *(_share(sum(r.domain_errors[d] for r in row.runs) / len(row.runs)) for row in ran)) for d in domains
    )
    tables = [Table(head=_HEAD, rows=tuple(_cells(row) for row in ran))]
    if len(domains) > 1:
        tables.append(Table(title="Error by domain", head=("domain", *(row.method for row in ran)), rows=by_domain))
    return Section(
        title=stream.replace("_", " "),
        note=STREAMS[stream][1] if stream in STREAMS else "",
        pictures=pictures,
        lines=(*_findings(ran), *idle),
        tables=tuple(tables) if ran else (),
    )


def _groups(rows: list[Row]) -> list[list[Row]]:
    """Part the rows so that no two in a picture share a colour; the source model is in each."""
    source = [row for row in rows if row.method == "source"]
    others = [row for row in rows if row.method != "source"]
    room = COLOURS - len(source)
    return [[*source, *others[at : at + room]] for at in range(0, len(others), room)] or [source]


def _series(row: Row, step: int, length: int) -> Scatter:
    places = [(min(at * step + step / 2, length) / length, error) for at, error in enumerate(row.curve(step))]
    return Scatter(label=row.method, line=tuple(places))


def _findings(rows: list[Row]) -> list[str]:
    """Say in words which methods are better or worse than source beyond doubt."""
    lines = []
    judged = [row for row in rows if row.gain is not None and row.method != "source"]
    better = [row.method for row in judged if row.gain is not None and row.gain.low > 0]
    worse = [row.method for row in judged if row.gain is not None and row.gain.high < 0]
    if better:
        lines.append(f"Better than the source model: {', '.join(better)}.")
    if worse:
        lines.append(f"Worse than the source model: {', '.join(worse)}.")
    unclear = [row.method for row in judged if row.method not in (*better, *worse)]
    if unclear:
        lines.append(f"No clear difference from the source model: {', '.join(unclear)}.")
    return lines


def _cells(row: Row) -> tuple[str, ...]:
    error, gain = row.error, row.gain
    return (
        row.method,
        _share(error.value if error else None),
        "" if error is None else f"{100 * error.low:.1f} to {100 * error.high:.1f}",
        "" if gain is None else f"{100 * gain.value:+.1f}",
        "" if gain is None else f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}",
        _share(row.mean("domain_error")),
        _share(row.mean("clean_error")),
        _signed(row.mean("forgetting")),
        _share(row.mean("ece")),
        _share(row.mean("dominant_share")),
        _number(row.mean("forwards_per_sample")),
        _number(row.mean("backwards_per_sample")),
        _number(row.mean("ms_per_sample")),
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"

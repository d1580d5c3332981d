"""The main job as one page that needs nothing else: curves, tables, and every prompt with its candidates.

Source: our own. No script and no outside resource, so it opens from disk and offline; everything a model wrote is
escaped. What the page says is in `findings`, what it looks like in `report.html`.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from string import Template

from ponder.bench.curve import Run
from ponder.bench.demo import Demo, Kind
from ponder.bench.findings import (
    NOTES,
    Findings,
    findings,
    percent,
    spell_comparison,
    spell_ledger,
    spell_saving,
)
from ponder.bench.summary import CurvePoint
from ponder.bench.svg_plot import draw_svg, legend_mark
from ponder.core.candidate import Candidate, Score
from ponder.core.usage import Usage

__all__ = ["render_report"]

_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_SIGNS = {True: '<span class="right">✓</span>', False: '<span class="wrong">✗</span>', None: "–"}
_WORDS = {True: '<span class="right">✓ right</span>', False: '<span class="wrong">✗ wrong</span>', None: "– not graded"}


def render_report(demo: Demo, *, extra: Sequence[str] = ()) -> str:
    """Return the page of a job with at least one run.

    Args:
        demo: the job.
        extra: more facts for the line under the title (date, memory), as plain text.
    """
    found = findings(demo)
    law = demo.sampling
    prompts = len({(run.row.family, run.row.problem) for run in demo.runs})
    facts = [
        demo.model,
        f"{prompts} prompts",
        f"temperature {law.temperature:g}, top-p {law.top_p:g}, at most {law.max_tokens} tokens an answer",
        f"seed {demo.seed}",
        f"generation {demo.seconds:.0f} s",
        *extra,
    ]
    ended = f"The job ended after {prompts} of {demo.planned} prompts: {demo.detail}."
    template = files("ponder.bench").joinpath("report.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        model=_esc(demo.model),
        facts=" · ".join(map(_esc, facts)),
        warning=f'<p class="warn">{_esc(ended)}</p>' if demo.stopped != "done" else "",
        kinds="".join(_kind(kind, found) for kind in demo.kinds if found.of(kind.family)),
        prompts="".join(_prompts(kind, demo.runs) for kind in demo.kinds if found.of(kind.family)),
        notes=_items(map(_esc, NOTES)),
    )


def _badge(points: Iterable[CurvePoint]) -> str:
    return ' <span class="badge">verifier = grader</span>' if any(p.self_graded for p in points) else ""


def _kind(kind: Kind, found: Findings) -> str:
    points = found.of(kind.family)
    figure = found.figures.get(kind.family)
    picture = ""
    if figure is not None:
        keys = "".join(f"<span>{legend_mark(i)}{_esc(s.label)}</span>" for i, s in enumerate(figure.series))
        title = f"Accuracy against tokens: {kind.title}"
        picture = f'<figure><div class="legend">{keys}</div>{draw_svg(figure, title=title)}</figure>'
    lines = [spell_comparison(entry) for entry in found.comparisons if entry.family == kind.family]
    lines += [spell_saving(entry) for entry in found.savings if entry.family == kind.family]
    lines += [spell_ledger(entry) for entry in found.ledgers if entry.family == kind.family]
    return (
        f"<h2>{_esc(kind.title)}{_badge(points)}</h2>"
        f'<p class="soft small">{points[0].prompts} prompts; the bars are 95 % intervals. {_esc(kind.note)}</p>'
        f'<div class="pair">{picture}<ul>{_items(map(_esc, lines))}</ul></div>'
        f'<div class="scroll">{_table(points)}</div>'
    )


def _table(points: Sequence[CurvePoint]) -> str:
    roles = list(dict.fromkeys(role for point in points for role in point.usage))
    head = "".join(f"<th>{_esc(role)}<br>prompt</th><th>tokens<br>written</th>" for role in roles)
    rows = []
    for point in points:
        tokens = "".join(
            f"<td>{point.mean('prompt_tokens', role):,.0f}</td><td>{point.mean('completion_tokens', role):,.0f}</td>"
            for role in roles
        )
        paid = sum(used.tokens for used in point.paid.values()) / point.prompts
        cells = (
            f"<td>{point.n}</td><td>{percent(point.accuracy)}</td>{tokens}<td>{paid:,.0f}</td>"
            f"<td>{_seconds(point.seconds, point.measured)}</td><td>{point.cut:.0%}</td><td>{point.unread:.0%}</td>"
        )
        rows.append((point.curve, cells))
    return (
        "<table><thead><tr><th>method</th><th>n</th><th>accuracy</th>"
        f"{head}<th>paid<br>tokens</th><th>seconds</th><th>cut</th><th>unread</th></tr></thead>{_grouped(rows)}</table>"
        '<p class="soft small">Tokens and seconds per problem; cut and unread: shares of the answers sampled.</p>'
    )


def _grouped(rows: Sequence[tuple[str, str]]) -> str:
    """Return table bodies in which neighbouring rows of one name share the cell of that name."""
    out = []
    for name, group in groupby(rows, key=lambda row: row[0]):
        cells = [cell for _, cell in group]
        first = f'<th scope="rowgroup" rowspan="{len(cells)}">{_esc(name)}</th>'
        out.append(f"<tbody><tr>{first}{'</tr><tr>'.join(cells)}</tr></tbody>")
    return "".join(out)


def _prompts(kind: Kind, runs: Sequence[Run]) -> str:
    problems: dict[str, list[Run]] = {}
    for run in runs:
        if run.row.family == kind.family:
            problems.setdefault(run.row.problem, []).append(run)
    cases = "".join(_case(found) for found in problems.values())
    return f"<h3>{_esc(kind.title)}</h3>{cases}"


def _case(runs: Sequence[Run]) -> str:
    problem = runs[0].problem
    ends = {run.point.curve: run for run in sorted(runs, key=lambda run: run.point.n)}  # the largest of each curve
    chips = "".join(f"<span>{_SIGNS[run.row.correct]} {_esc(_title(run))}</span>" for run in ends.values())
    gold = "" if problem.reference is None else f'<p class="small">Reference: {_esc(problem.reference)}</p>'
    return (
        f'<details><summary><span class="prompt">{_esc(problem.task.prompt)}</span><span class="chips">{chips}</span>'
        f'</summary><div class="inside">{gold}<div class="scroll">{_choices(runs)}</div>{_candidates(runs)}</div>'
        "</details>"
    )


def _choices(runs: Sequence[Run]) -> str:
    rows = []
    for run in runs:
        row = run.row
        chosen = "none" if run.result.candidate is None else _number(run.result.candidate, run)
        answer = "no answer" if row.answer is None else _short(row.answer)
        cells = (
            f'<td>{row.n}</td><td>{chosen}</td><td class="left">{_esc(answer)}</td><td>{_WORDS[row.correct]}</td>'
            f"<td>{_tokens(row.usage)}</td><td>{_tokens(row.paid)}</td><td>{_seconds(row.seconds, row.measured)}</td>"
        )
        rows.append((row.curve, cells))
    return (
        '<table><thead><tr><th>method</th><th>n</th><th>chose</th><th class="left">answer</th><th>grade</th>'
        f"<th>tokens</th><th>paid</th><th>seconds</th></tr></thead>{_grouped(rows)}</table>"
    )


def _candidates(runs: Sequence[Run]) -> str:
    """Show each candidate once, with the scores of every run that judged it."""
    seen: dict[str, tuple[Candidate, bool | None]] = {}
    for run in runs:
        for candidate, graded in zip(run.result.candidates, run.grades, strict=True):
            number = _number(candidate, run)
            known = seen.get(number, (candidate, graded))[0]
            for verifier, score in candidate.scores.items():
                known = known.scored(verifier, score)
            seen[number] = known, graded
    cards = "".join(_card(number, *entry) for number, entry in sorted(seen.items(), key=_order))
    return f'<h3>Candidates</h3><div class="cards">{cards}</div>'


def _card(number: str, candidate: Candidate, graded: bool | None) -> str:
    scores = [f"{verifier} {_score(score)}" for verifier, score in candidate.scores.items()]
    finish = {"stop": "", "length": "cut by the token limit", None: "failed"}.get(candidate.finish, candidate.finish)
    used = candidate.usage
    facts = [
        f"answer {_short(candidate.answer)}" if candidate.answer is not None else "no answer",
        *scores,
        f"{used.prompt_tokens} + {used.completion_tokens} tokens",
        *filter(None, [finish]),
    ]
    return (
        f'<div class="card"><div class="small"><b>{number}</b> {_WORDS[graded]} · '
        f'<span class="soft">{" · ".join(map(_esc, facts))}</span></div>'
        f"<pre>{_esc(candidate.text or candidate.error or '(empty)')}</pre></div>"
    )


def _score(score: Score) -> str:
    value = "missing" if score.value is None else f"{score.value:g}"
    return f"{value} ({score.reason})" if score.reason else value


def _number(candidate: Candidate, run: Run) -> str:
    return "greedy" if run.point.method == "greedy" else f"#{candidate.index}"


def _order(item: tuple[str, object]) -> tuple[bool, int]:
    number = item[0]
    return (False, 0) if number == "greedy" else (True, int(number[1:]))


def _title(run: Run) -> str:
    return run.point.curve if run.point.n == 1 else f"{run.point.curve} @ {run.point.n}"


def _tokens(usage: Mapping[str, Usage]) -> str:
    return f"{sum(used.tokens for used in usage.values()):,}"


def _seconds(seconds: float | None, measured: bool) -> str:
    if seconds is None:
        return "–"
    return f"{'' if measured else '~'}{seconds:.1f}"


def _short(text: str, limit: int = 40) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _items(lines: Iterable[str]) -> str:
    return "".join(f"<li>{line}</li>" for line in lines)


def _esc(text: str) -> str:
    """Escape, and show what HTML cannot hold (control characters, lone surrogates) as a replacement mark."""
    return html.escape(_UNFIT.sub("\ufffd", text))

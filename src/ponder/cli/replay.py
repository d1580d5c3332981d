"""`ponder replay`: study selection methods on a recorded pool, for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ponder.bench.pools.curves import Curve
    from ponder.bench.pools.pool import Pool
    from ponder.bench.rows import Row

__all__ = ["replay"]


def replay(
    pool: Annotated[Path, typer.Argument(metavar="POOL", help="Folder of `ponder record`, or a file of samples.")],
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "--methods",
            metavar="NAME[:KEY=V1|V2,...]",
            help="What chooses, with values of its settings, verifier=LABEL among them; repeatable."
            "  [default: all that the pool can feed]",
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option("--sizes", "--n", metavar="N,...", help="Numbers of samples, or `all`.  [default: 1,2,4,...]"),
    ] = None,
    verifier: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="Recorded scores to choose by; repeatable.  [default: all]"),
    ] = None,
    orders: Annotated[
        int,
        typer.Option(min=1, help="Orders of the samples to average over; 1 is the recorded one, with nested prefixes."),
    ] = 1,
    seed: Annotated[int, typer.Option(help="Of the orders and the resampling.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Rows of all runs.  [default: rows.jsonl in the pool]"),
    ] = None,
    price_table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of prices, for costs in USD.")
    ] = None,
    no_rows: Annotated[bool, typer.Option("--no-rows", help="Print the curves alone.")] = False,
) -> None:
    """Choose again from recorded samples. Every method says what it would have answered; the runs become rows.

    `ponder report` and `ponder tune` read the rows as they read those of a live bench. What uses gold stands apart.
    """
    import asyncio

    from ponder.bench.pools.curves import curve
    from ponder.bench.pools.folder import read_problems
    from ponder.bench.pools.plan import default_methods, default_sizes, points_of
    from ponder.bench.pools.reading import read_arrays
    from ponder.bench.pools.replaying import array_rows, method_rows, source_of
    from ponder.bench.pools.selectors import way_of
    from ponder.cli.console import plural, show, tell
    from ponder.core.errors import BadInput, ConfigError
    from ponder.models.replay import ReplayModel
    from ponder.planning.costs import read_prices

    prices = None if price_table is None else read_prices(price_table)
    held = read_arrays(pool)
    model = source_of(held).model
    wanted = default_sizes(held) if sizes is None else _sizes(sizes, held)
    texts = [part for text in method or [] for part in _methods(text)] or default_methods(held)
    points = [point for text in texts for point in points_of(text, wanted, held, model=model, verifiers=verifier or [])]
    ways = [way_of(point, held) for point in points]
    quick = [point for point, way in zip(points, ways, strict=True) if way != "replay"]
    slow = [point for point, way in zip(points, ways, strict=True) if way == "replay"]
    curves = []
    for name in dict.fromkeys(point.curve for point in quick):
        own = [point for point in quick if point.curve == name]
        curves.append(curve(held, own[0], [point.n for point in own], orders=orders, seed=seed))
    rows: list[Row] = []
    if slow:
        if not pool.is_dir():
            raise ConfigError(f"{slow[0].method} is run on the problems, and {pool} is a file without them")
        named = [one for one in read_problems(pool) if one.problem.task.id in set(held.ids)]
        rows = asyncio.run(method_rows(held, named, slow, ReplayModel.from_spec(str(pool)), prices=prices))
    show(_headline(held, model))
    if curves:
        show(_table(curves, model))
    if rows:
        from ponder.cli.bench_view import show_rows

        show_rows(rows, seed=seed)
    _notes(curves, held, wanted, orders)
    if no_rows:
        return
    file = out or (pool / "rows.jsonl" if pool.is_dir() else pool.with_suffix(".rows.jsonl"))
    new = file.with_name(f"{file.name}.new")
    try:
        count = _write(new, array_rows(held, quick, orders=orders, seed=seed, prices=prices), rows)
        new.replace(file)
    except OSError as err:
        raise BadInput(f"cannot write the rows to {str(file)!r}: {err.strerror or err}") from err
    where = pool if file == pool / "rows.jsonl" else file
    tell(f"{plural(count, 'row')} -> {file}; `ponder report {where}` draws them, `ponder tune --runs {where}` learns")


def _methods(text: str) -> list[str]:
    """Split "majority,borda" at its commas; those of settings ("best_of_n:verifier=rm,weighted=true") stay."""
    parts: list[str] = []
    for part in text.split(","):
        name = part.partition(":")[0]
        if parts and "=" in name:
            parts[-1] += f",{part}"
        else:
            parts.append(part)
    return parts


def _sizes(text: str, pool: Pool) -> list[int]:
    from ponder.core.errors import ConfigError

    if text == "all":
        return list(range(1, pool.samples.width + 1))
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise ConfigError(f"--sizes: cannot read {text!r} as whole numbers with commas between them") from None
    if found[0] < 1 or found[-1] > pool.samples.width:
        raise ConfigError(f"--sizes: the pool holds at most {pool.samples.width} samples of a problem, got {text}")
    return found


def _headline(pool: Pool, model: str) -> str:
    from ponder.cli.console import plural, printable

    fewest, most = int(pool.samples.present.min()), int(pool.samples.present.max())
    each = f"{most}" if fewest == most else f"{fewest} to {most}"
    graded = int((pool.samples.grades >= 0).any(axis=1).sum())
    scores = f", scores by {', '.join(pool.samples.scores)}" if pool.samples.scores else ""
    return printable(f"{plural(len(pool.ids), 'problem')} ({graded:,} graded), {each} samples each, of {model}{scores}")


def _table(curves: Sequence[Curve], model: str) -> Table:
    from ponder.cli.console import printable, table

    exact = any(value is not None for one in curves for value in one.exact)
    right = ("n", "accuracy [95 %]", *(["all subsets"] if exact else []), "tokens", "problems")
    lines = table("curve", *right, right=right)
    for one in curves:
        mark = " (verifier = grader)" if one.self_graded else ""
        for at, n in enumerate(one.sizes):
            found, every, spent = one.accuracy[at], one.exact[at], one.tokens[at]
            told = "" if found is None else f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"
            cells = [told, *(["" if every is None else f"{every:.1%}"] if exact else [])]
            tokens = "" if spent is None or not one.counted else f"{spent:,.0f}"
            lines.add_row(
                printable(one.name.removesuffix(f"@{model}") + mark), f"{n}", *cells, tokens, f"{one.problems[at]:,}"
            )
    return lines


def _notes(curves: Sequence[Curve], pool: Pool, sizes: Sequence[int], orders: int) -> None:
    from ponder.bench.pools.curves import oracle
    from ponder.cli.console import show

    found = [f"pass@{k} {value:.1%}" for k, value in zip(sizes, oracle(pool, sizes), strict=True) if value is not None]
    if found:
        show("", f"Oracle (uses gold, no method can have it): {', '.join(found)}.")
    how = (
        "in the recorded order: n samples are the first n, and points are nested"
        if orders == 1
        else f"averaged over {orders} orders of the samples, which is unbiased over subsets"
    )
    notes = [f"Accuracy {how}; the interval resamples problems. Tokens are nominal: what the point would cost alone."]
    if any(value is not None for one in curves for value in one.exact):
        notes.append("All subsets: the exact mean over all choices of n recorded samples, ties shared equally.")
    if any(not one.counted for one in curves):
        notes.append("The pool does not say how many tokens all its samples took.")
    show(*notes)


def _write(file: Path, quick: Iterable[Row], slow: Sequence[Row]) -> int:
    from itertools import chain

    from ponder.bench.rows import to_lines

    count = 0
    with open(file, "w", encoding="utf-8") as target:
        for row in chain(quick, slow):
            target.write(to_lines([row]))
            count += 1
    return count

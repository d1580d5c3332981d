"""Knowledge-enhanced class prompts (CKEPE): a language model names subtypes and signs, a vocabulary confirms them.

Source: Liu et al. 2024, arXiv:2403.06659 (card 56 A); the released code holds the resulting prompts only, so the
procedure is rebuilt from the paper's abstract and those prompts.
Differs: what the vocabulary does not hold by name or synonym may be shown to the model again beside near entries, and
stays only if the model supports it; either way nothing is written that the vocabulary has no entry for or near.
Cost: one call for each class, one more where candidates are left over and `verify` is on; none for what is cached.
Needs: a text model, and a table of terms from the user: the sources that the paper names may not be passed on.
"""

from __future__ import annotations

import asyncio
import csv
import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ponder.core.budget import Budget
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError
from ponder.core.model import Model, Sampling
from ponder.core.result import Result
from ponder.core.solve import solve
from ponder.core.store import Store
from ponder.core.task import Message, Task
from ponder.engines.asking import ask_readable, prompts
from ponder.engines.replies import mend

__all__ = ["EnrichedPrompt", "KnowledgeBase", "enrich", "plain_prompts"]

_NEAR, _SHOWN = 0.6, 5


@dataclass(frozen=True)
class KnowledgeBase:
    """A vocabulary: accepted terms, and other names for them.

    Attributes:
        terms: lower-case terms.
        synonyms: other name -> term.
        name: how the prompt calls it.
    """

    terms: frozenset[str]
    synonyms: Mapping[str, str] = field(default_factory=dict)
    name: str = "a controlled clinical vocabulary"

    @classmethod
    def of(cls, terms: Iterable[str], synonyms: Mapping[str, str] | None = None, *, name: str = "") -> KnowledgeBase:
        """Build one from plain texts.

        Raises:
            BadInput: no terms, or a synonym of what is no term.
        """
        known = frozenset(_plain(term) for term in terms if _plain(term))
        other = {_plain(one): _plain(term) for one, term in (synonyms or {}).items()}
        if not known:
            raise BadInput("the vocabulary holds no terms")
        if lost := sorted(term for term in other.values() if term not in known):
            raise BadInput(f"{lost[0]!r} has a synonym but is no term of the vocabulary")
        return cls(known, other, name or cls.name)

    @classmethod
    def read(cls, table: Path, *, name: str = "") -> KnowledgeBase:
        """Read a CSV table with a column "term" and, if there are any, "synonyms" parted by "|".

        Raises:
            BadInput: it cannot be read or has no such column.
        """
        try:
            with table.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError) as err:
            raise BadInput(f"cannot read the vocabulary {str(table)!r}: {err}") from err
        if not rows or "term" not in rows[0]:
            raise BadInput(f"{str(table)!r} needs a column 'term' and at least one row")
        other = {one: row["term"] for row in rows for one in (row.get("synonyms") or "").split("|") if _plain(one)}
        return cls.of((row["term"] or "" for row in rows), other, name=name or table.stem)

    @property
    def digest(self) -> str:
        """Eight hex digits of terms and synonyms: prompts of one vocabulary are not kept for another."""
        held = json.dumps([sorted(self.terms), sorted(self.synonyms.items())])
        return hashlib.sha256(held.encode()).hexdigest()[:8]

    def find(self, candidate: str) -> str | None:
        """Return the term that a candidate is, by name or synonym."""
        plain = _plain(candidate)
        return plain if plain in self.terms else self.synonyms.get(plain)

    def near(self, candidate: str) -> list[str]:
        """Return terms written like the candidate, the likest first."""
        return difflib.get_close_matches(_plain(candidate), sorted(self.terms), n=_SHOWN, cutoff=_NEAR)


@dataclass(frozen=True)
class EnrichedPrompt:
    """The prompt of one class and where it came from.

    Attributes:
        text: lower case, with a full stop; the bare name where nothing was confirmed.
        kept: confirmed terms, in the order named.
        rejected: what the model named and the vocabulary did not confirm.
        calls: that were made for it now; 0 from the cache.
        stopped: "done", "unreadable" where no reply held the lists, or why asking ended early.
    """

    text: str
    kept: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    calls: int = 0
    stopped: str = "done"


def plain_prompts(classes: Mapping[str, str]) -> dict[str, str]:
    """Return the bare names as prompts, by code: what enriched ones are to be compared with."""
    return {code: f"{_plain(name)}." for code, name in classes.items()}


async def enrich(
    classes: Mapping[str, str],
    model: Model,
    knowledge: KnowledgeBase,
    *,
    dataset: str = "",
    most: int = 6,
    verify: bool = True,
    with_name: bool = True,
    cache: Path | None = None,
    budget: Budget | None = None,
    store: Store | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, EnrichedPrompt]:
    """Ask for each class's subtypes and signs and keep what the vocabulary confirms.

    Args:
        classes: code -> name of the condition.
        model: a text model; sampled at temperature 0.
        knowledge: the vocabulary.
        dataset: part of the cache's keys: the same code means different things in different sets.
        most: terms of each kind, 1 to 12.
        verify: show the model what was left over, beside near entries.
        with_name: begin the prompt with the condition's name.
        cache: JSON file of prompts, read before and written after each class that was asked for; its keys hold what
            the prompt depends on but the model, so take another file for another model.
        budget: of each class.
        store: response store.
        seed: of the calls.
        progress: called with (classes done, all of them).

    Raises:
        ConfigError: `most` out of range.
        BadInput: no classes, or a cache that cannot be read.
    """
    if not 1 <= most <= 12:
        raise ConfigError(f"most must be in 1..12, got {most!r}")
    if not classes:
        raise BadInput("no classes: give codes and names")
    held = {} if cache is None else await asyncio.to_thread(_read_cache, cache)
    out: dict[str, EnrichedPrompt] = {}
    for done, (code, name) in enumerate(classes.items()):
        if progress is not None:
            progress(done, len(classes))
        key = json.dumps([dataset, code, name, knowledge.name, knowledge.digest, most, verify, with_name])
        if key in held:
            out[code] = held[key]
            continue
        run = _Lookup(name, knowledge, most, verify, with_name)
        task = Task.of(f"{dataset} {code}: {name}".strip())
        law = Sampling(temperature=0.0, max_tokens=400)
        result = await solve(task, model=model, method=run, seed=seed, sampling=law, budget=budget, store=store)
        calls = sum(usage.calls for usage in result.usage.values())
        ended = "unreadable" if result.stopped == "done" and not run.read else result.stopped
        out[code] = replace(run.found, calls=calls, stopped=ended)
        if cache is not None and ended == "done":
            held[key] = replace(out[code], calls=0)
            await asyncio.to_thread(_write_cache, cache, held)
    return out


class _Lookup:
    """One class's look-up as a method, so that it runs under a meter. It is made for one run and holds its outcome."""

    def __init__(self, name: str, knowledge: KnowledgeBase, most: int, verify: bool, with_name: bool) -> None:
        self.name, self.knowledge, self.most = name, knowledge, most
        self.verify, self.with_name = verify, with_name
        self.found = EnrichedPrompt(f"{_plain(name)}.")
        self.read = False

    def calls(self) -> dict[str, int]:
        """Most calls by role."""
        return {"policy": 4 if self.verify else 2}

    async def run(self, task: Task, ctx: Context) -> Result:
        """Look up, then confirm."""
        texts = prompts("ponder.adapt", "ckepe")
        ask = texts["lookup"].substitute(name=self.name, most=self.most, sources=self.knowledge.name)
        asked = await ask_readable(ctx, [Message("user", ask)], self._lists, path=("lookup", task.id))
        if asked.value is None:
            why = asked.ended
            return ctx.result([], best=None, stopped=why.reason if why else "done", detail="; ".join(asked.faults))
        self.read = True
        kept: dict[str, None] = {}
        left: list[str] = []
        for candidate in dict.fromkeys(asked.value):
            term = self.knowledge.find(candidate)
            if term is None:
                left.append(candidate)
            else:
                kept[term] = None
        supported = await self._supported(texts, task, ctx, left) if self.verify else []
        kept |= dict.fromkeys(supported)
        rejected = tuple(candidate for candidate in left if candidate not in supported)
        parts = [*([_plain(self.name)] if self.with_name or not kept else []), *kept]
        self.found = EnrichedPrompt(f"{', '.join(dict.fromkeys(parts))}.", tuple(kept), rejected)
        return ctx.result([], best=None, answer=self.found.text)

    async def _supported(self, texts: Mapping[str, object], task: Task, ctx: Context, left: Sequence[str]) -> list[str]:
        """Return which of the left-over candidates the model takes for a near entry of the vocabulary."""
        near = {candidate: self.knowledge.near(candidate) for candidate in left}
        shown = [candidate for candidate in left if near[candidate]]
        if not shown:
            return []
        entries = dict.fromkeys(term for candidate in shown for term in near[candidate])
        ask = texts["verify"].substitute(  # type: ignore[attr-defined]
            name=self.name,
            candidates="\n".join(f"- {one}" for one in shown),
            entries="\n".join(f"- {one}" for one in entries),
        )
        asked = await ask_readable(
            ctx, [Message("user", ask)], lambda text: _texts_of(text, "supported"), path=("verify", task.id)
        )
        return [candidate for candidate in shown if candidate in (asked.value or [])]

    def _lists(self, text: str) -> list[str]:
        return [*_texts_of(text, "subtypes")[: self.most], *_texts_of(text, "attributes")[: self.most]]


def _texts_of(text: str, name: str) -> list[str]:
    """Read a list of terms out of a JSON object."""
    found = mend(text)
    if not isinstance(found, dict) or not isinstance(found.get(name), list):
        raise BadInput(f'it has no JSON object with the list "{name}"')
    return [_plain(term) for term in found[name] if isinstance(term, str) and _plain(term)]


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .,;")


def _read_cache(path: Path) -> dict[str, EnrichedPrompt]:
    if not path.exists():
        return {}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return {
            key: EnrichedPrompt(value["text"], tuple(value["kept"]), tuple(value["rejected"]))
            for key, value in raw.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise BadInput(f"{str(path)!r} is no cache of prompts: {err}") from err


def _write_cache(path: Path, held: Mapping[str, EnrichedPrompt]) -> None:
    rows = {key: asdict(value) for key, value in held.items()}
    half = path.with_name(f"{path.name}.part")  # a run that is killed leaves the old file whole
    half.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    half.replace(path)

"""List judge: a model ranks all answers at once, shown in several shuffled orders; the score is the mean place.

Source: our own; listwise ranking after Sun et al. 2023, arXiv:2304.09542 (RankGPT), without its sliding window.
Differs from it: the orders are shuffled by seed and their rankings averaged, so that no place in the list is favoured;
ties are allowed; a ranking that leaves an answer out, or names one twice, cannot be read and is missing.
Cost: `orders` calls of the role "judge" for all answers together. Needs: nothing beyond text, and a judge whose context
holds all answers.
When: many answers and few calls.
When not: long answers, small judges (they lose track), single answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import BadInput, ConfigError, Interrupted, ProviderError
from ponder.core.model import Sampling
from ponder.core.registry import verifiers
from ponder.core.seeds import derive
from ponder.core.task import Task
from ponder.core.tasks import gather_all
from ponder.verifiers._shown import LONGEST, filled, request_text

__all__ = ["ListJudge", "read_ranking"]

_RANKING = re.compile(r"\[\[([\d\s>=]+)\]\]")


@verifiers("list_judge", tags={"where": ("evaluation", "open-ended"), "how_well": ("win-rate",)}, since="0.3")
@dataclass(frozen=True, kw_only=True)
class ListJudge:
    """Ranks answers.

    Attributes:
        orders: shuffled orders in which the answers are shown, >= 1.
        max_tokens: most tokens of one ranking with its reasons, >= 1.
        temperature: of a ranking; 0 is greedy.
    """

    orders: int = 2
    max_tokens: int = 1024
    temperature: float = 0.0

    def __post_init__(self) -> None:
        if self.orders < 1 or self.max_tokens < 1 or not self.temperature >= 0:
            raise ConfigError("the judge needs orders >= 1, max_tokens >= 1 and temperature >= 0")

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: Context) -> list[Score]:
        """Score every candidate: 1 for first, 0 for last, the mean over the orders that can be read."""
        texts = list(dict.fromkeys(candidate.text for candidate in candidates if candidate.ok))
        if len(texts) == 1:
            alone = Score.missing("there is no other answer to compare it with")
            return [alone if c.ok else Score.missing(f"no answer: {c.error}") for c in candidates]
        ranked = await gather_all(
            [partial(self._rank, task, texts, ctx, k) for k in range(self.orders if texts else 0)]
        )
        places = [found for found in ranked if not isinstance(found, str)]
        why = next((found for found in ranked if isinstance(found, str)), "")
        scores = {}
        for at, text in enumerate(texts):
            if not places:
                scores[text] = Score.missing(why)
                continue
            value = sum(found[at] for found in places) / len(places)
            told = f"{len(places)} of {self.orders} rankings can be read" + (f" ({why})" if why else "")
            scores[text] = Score(value=value, reason=told)
        return [scores[c.text] if c.ok else Score.missing(f"no answer: {c.error}") for c in candidates]

    async def _rank(self, task: Task, texts: Sequence[str], ctx: Context, number: int) -> list[float] | str:
        """Return the place of each text in [0, 1], 1 for first; or why there is none."""
        order = list(range(len(texts)))
        derive(ctx.seed, "list_judge", task.id, number).shuffle(order)
        room = LONGEST // len(texts)
        answers = "\n\n".join(
            f'<answer number="{at}">\n{texts[index][:room]}\n</answer>' for at, index in enumerate(order, 1)
        )
        try:
            reply = await ctx.model("judge").ask(
                filled("list_judge.md", task, request=request_text(task), answers=answers, count=str(len(texts))),
                path=("list", task.id, number),
                sampling=Sampling(temperature=self.temperature, top_p=1.0, max_tokens=self.max_tokens),
            )
        except Interrupted as err:
            return f"not judged: {err}"
        except (ProviderError, BadInput) as err:  # BadInput: the answers do not fit the judge's context
            return f"the judge failed: {err}"
        places = read_ranking(reply.text, len(texts))
        if places is None:
            return "the judge's ranking cannot be read" + (" (it was cut)" if reply.finish == "length" else "")
        by_text = [0.0] * len(texts)
        for place, index in zip(places, order, strict=True):
            by_text[index] = place
        return by_text


def read_ranking(text: str, count: int) -> list[float] | None:
    """Return the place of each of the answers 1..count in [0, 1] from the last "[[2 > 1 = 3]]"; None where unreadable.

    The first has 1, the last 0, and answers that tie share the mean of their places. Each must be named once.
    """
    rankings = _RANKING.findall(text)
    if not rankings or count < 2:
        return None
    levels = [[part.strip() for part in level.split("=")] for level in rankings[-1].split(">")]
    if sorted(name for level in levels for name in level) != sorted(map(str, range(1, count + 1))):
        return None
    places = [0.0] * count
    above = 0
    for level in levels:
        place = 1 - (above + (len(level) - 1) / 2) / (count - 1)
        for name in level:
            places[int(name) - 1] = place
        above += len(level)
    return places

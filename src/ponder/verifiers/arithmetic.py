"""Arithmetic: judge a numeric answer without gold, by its own calculations and by working the story out again.

Source: our own. What is checked, in this order:
1. no number in the text (or no text): missing;
2. stated calculations, "a op b = c" with + - * / and their spellings: one false is enough for 0;
3. the prompt is a one-step multiplication story (exactly two numbers, one of them "each", "per" or "every"): 1 if the
   answer is their product, else 0 (setting `recompute`);
4. at least one stated calculation, all true, and the answer is the result of one of them: 1;
5. anything else: missing, for there is no evidence either way.
Weak where: rule 4 accepts a true calculation that does not belong to the question; rule 3 knows one kind of story, and
a division told in its words ("12 pens, 3 in each box") is refused only by the noun asked for and a few telling words.
On stories that rule 3 can read it is as good as gold: such curves say what choosing is worth, not what the model knows.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from ponder.core.candidate import Candidate, Score
from ponder.core.registry import verifiers
from ponder.core.task import Task
from ponder.verifiers.answers.number import NumberAnswer, normalise, numbers

__all__ = ["Arithmetic", "Calculation", "product_of_story", "stated_calculations"]

_OPERATORS = {
    **{"+": "+", "plus": "+", "-": "-", "minus": "-"},
    **dict.fromkeys(("*", "\u00d7", "\u00b7", "x", "times", "multiplied"), "*"),
    **dict.fromkeys(("/", "\u00f7", "divided"), "/"),
}
_EQUALS = frozenset(("=", "equals", "is"))
_PART = re.compile(r"[^\W\d_]+|[-+*/=\u00d7\u00b7\u00f7]|[^\s\w$*]")
_IDLE = 2  # words that may stand between the parts: "3 boxes * 4 red pens = 12"
_LONGEST = 50_000
_MOST = 8  # most terms of one calculation

_EACH = re.compile(r"\b(?:each|every|per|apiece)\b", re.IGNORECASE)
_ASKED = re.compile(r"\bhow (?:many|much)\s+(\w+)", re.IGNORECASE)
_HELD = re.compile(r"\b(?:each|every|per)\s+(\w+)", re.IGNORECASE)
_OTHER_STORY = re.compile(
    r"\b(?:divid\w+|shar\w+|split\w*|equally|evenly|left|remain\w*|fewer|less|more|difference|gives? away|half|twice|"
    r"double|average|other)\b",
    re.IGNORECASE,
)
_SMALL = "two three four five six seven eight nine ten eleven twelve"  # "one" is a pronoun too often
_NUMBER_WORDS = {word: Fraction(value) for value, word in enumerate(_SMALL.split(), start=2)}


@verifiers("arithmetic", access=())
@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """1 for an answer whose arithmetic holds, 0 for one whose arithmetic fails, missing where nothing can be checked.

    Attributes:
        recompute: work one-step multiplication stories out from the prompt (rule 3).
    """

    recompute: bool = True

    async def score(self, task: Task, candidates: Sequence[Candidate], ctx: object) -> list[Score]:
        """Score every candidate by the rules above."""
        product = product_of_story(task.prompt) if self.recompute else None
        return [_judge(candidate, product) for candidate in candidates]


@dataclass(frozen=True, slots=True)
class Calculation:
    """A calculation found in a text.

    Attributes:
        result: what the text says.
        value: what it really is.
        decimals: digits after the point of the stated result.
    """

    result: Fraction
    value: Fraction
    decimals: int

    @property
    def holds(self) -> bool:
        """Whether the stated result is right, or right when rounded to the decimals that are stated."""
        if self.result == self.value:
            return True
        return self.decimals > 0 and abs(self.result - self.value) * 2 <= Fraction(1, 10**self.decimals)


def product_of_story(prompt: str) -> Fraction | None:
    """Return the product that a one-step multiplication story asks for, or None if it is no such story."""
    if not _EACH.search(prompt) or _OTHER_STORY.search(prompt):
        return None
    asked = _ASKED.search(prompt)
    held = {_singular(word) for word in _HELD.findall(prompt)}
    if asked is None or _singular(asked.group(1)) in held:  # "... 4 per bag. How many bags ...": a division
        return None
    found = [token.value for token in numbers(prompt)]
    found += [_NUMBER_WORDS[word] for word in re.findall(r"[a-z]+", prompt.lower()) if word in _NUMBER_WORDS]
    return found[0] * found[1] if len(found) == 2 else None


def stated_calculations(text: str) -> list[Calculation]:
    """Return the calculations "a op b [op c ...] = d" in the last 50,000 characters of `text`, in order.

    Up to two words in a row between the parts are passed over as units; brackets, percent signs and other marks end a
    calculation. "a op b = c op d" is left out: it may be an equation or a run-on. So is a division by zero.
    """
    found: list[Calculation] = []
    terms: list[Fraction] = []  # the left side so far: terms[0] ops[0] terms[1] ...
    ops: list[str] = []
    fraction = equals = after_result = False
    idle = 0
    for part in _parts(text[-_LONGEST:]):
        if part.number is not None:
            if equals:
                value = _evaluate(terms, ops) if ops or fraction else None
                after_result = value is not None
                if value is not None:
                    found.append(Calculation(part.number, value, part.decimals))
            elif terms and len(ops) == len(terms) < _MOST:
                if after_result:
                    found.pop()
                after_result = False
                terms.append(part.number)
                fraction, idle = fraction or part.fraction, 0
                continue
            else:
                after_result = False
            terms, ops, fraction, equals, idle = [part.number], [], part.fraction, False, 0
        elif part.text in _OPERATORS and terms and len(ops) < len(terms) and not equals:
            ops.append(_OPERATORS[part.text])
        elif part.text in _EQUALS and terms and len(ops) < len(terms):
            equals, after_result = True, False
        elif part.text[0].isalpha() and idle < _IDLE and not (after_result and ops):  # "= 7 - so 7" is a dash
            idle += 1
        else:
            terms, ops, fraction, equals, after_result, idle = [], [], False, False, False, 0
    return found


class _Part(NamedTuple):
    """A number, or the word or sign between two of them."""

    text: str
    number: Fraction | None = None
    decimals: int = 0
    fraction: bool = False


def _parts(text: str) -> Iterator[_Part]:
    text = normalise(text).replace("**", "  ")  # bold marks, not products
    position = 0
    for token in numbers(text):
        for match in _PART.finditer(text, position, token.start):
            yield _Part(match.group().lower())
        number = token.value
        if position > 0 and text[token.start] in "+-" and not text[position : token.start].strip():
            yield _Part(text[token.start])  # "10 -5": straight after a number the sign is an operator
            number = abs(number)
        yield _Part("", number, token.decimals, "/" in text[token.start : token.end])
        position = token.end
    for match in _PART.finditer(text, position):
        yield _Part(match.group().lower())


def _evaluate(terms: Sequence[Fraction], ops: Sequence[str]) -> Fraction | None:
    """Work out a chain with * and / before + and -; None where it divides by zero."""
    sums = [terms[0]]
    for op, term in zip(ops, terms[1:], strict=True):
        if op == "*":
            sums[-1] *= term
        elif op == "/":
            if term == 0:
                return None
            sums[-1] /= term
        else:
            sums.append(term if op == "+" else -term)
    return sum(sums, Fraction(0))


def _judge(candidate: Candidate, product: Fraction | None) -> Score:
    if not candidate.ok:
        return Score.missing(f"no text to check: {candidate.error or 'the call failed'}")
    answer = NumberAnswer().extract(candidate.text)
    if answer is None:
        return Score.missing("no number in the answer")
    stated = stated_calculations(candidate.text)
    wrong = next((calculation for calculation in stated if not calculation.holds), None)
    if wrong is not None:
        return Score(
            value=0.0, reason=f"states {_short(wrong.result)} where the calculation gives {_short(wrong.value)}"
        )
    if product is not None:
        right = Fraction(answer) == product
        return Score(value=float(right), reason=f"the story's product is {_short(product)}")
    if any(calculation.result == Fraction(answer) for calculation in stated):
        return Score(value=1.0, reason="the answer is the result of a stated calculation, and all stated ones hold")
    return Score.missing("nothing to check: no stated calculation leads to the answer, the prompt is no known story")


def _short(number: Fraction) -> str:
    text = str(number)
    return text if len(text) <= 20 else f"{text[:20]}..."


def _singular(word: str) -> str:
    word = word.lower()
    for ending in ("ves", "xes", "ches", "shes", "sses", "s"):
        if word.endswith(ending):
            return word[: -len(ending)] + {"ves": "f", "s": ""}.get(ending, ending[:-2])
    return word

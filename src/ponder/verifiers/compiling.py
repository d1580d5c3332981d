"""Compile a prompt into the rules that it states, in the words people use for them.

Source: our own patterns. A rule that is missed makes the check too lenient; one that is imagined makes it useless, so
every pattern is read narrowly: bare words of a list need "the words ..." or a colon before them, a list ends where the
next rule begins, and a negation ("without", "do not") turns "use the word" into "leave it out".
Cost: linear in the prompt. Needs: nothing beyond the base install.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ponder.verifiers.rules import (
    AtMostWords,
    Avoids,
    Constraint,
    EndsWith,
    Excludes,
    Includes,
    IsQuestion,
    JsonKeys,
)

__all__ = ["compile_prompt"]

_QUOTES = str.maketrans(
    {"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u00ab": '"', "\u00bb": '"', "`": '"', "\u2018": "'", "\u2019": "'"}
)
_ITEM = re.compile(r"\"[^\"\n]{1,80}\"|'[^'\n]{1,80}'(?!\w)|[^\W_](?:[\w'-]{0,38}[^\W_])?")
_JOIN = re.compile(r"\s*,\s*(?P<and>(?:and|or|&)\s+)?|\s*;\s*|\s+(?P<also>and|or|&)\s+")
# Words that open the next rule and are never a bare item: "the words tea and cup and end with ...".
_OPENING = (
    "a about above all also an any as at avoid avoids avoiding be below but can contain contains containing do does"
    " don't each end ending ends every exactly for from has have he i if in include includes including is it its keep"
    " long make max maximum must never no not nothing of on only or output per please she should start starting such"
    " than that the then there they this to use uses using we which with within without write you your"
)
_OPENERS = frozenset(_OPENING.split())
_NOT = re.compile(
    r"\b(?:without|avoid\w*|not|never|no|omit\w*|exclud\w*|free of|lack\w*|leav\w+ out|skip\w*|\w{1,10}n't)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.?!;:\n]|\b(?:and|but|which|that)\b", re.IGNORECASE)
_SMALL = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
)
_SIZES = {word: size for size, word in enumerate(_SMALL.split(), start=1)}
_COUNT = rf"(?:\d{{1,4}}|{'|'.join(sorted(_SIZES, key=len, reverse=True))})"
_VERB = r"(?:includ\w*|contain\w*|us(?:e|es|ing)|mention\w*|featur\w*|incorporat\w*|exclud\w*|omit\w*|avoid\w*)"
_HAVE = re.compile(
    rf"\b(?:{_VERB}|with|without|ha(?:s|ve|ving))\s+"
    rf"(?:(?:all|each|both|of|the|these|this|using|following|given|exact|single|{_COUNT})\s+){{0,5}}"
    r"(?P<many>words?|terms?)\b(?:\s+in\s+(?:a|one|your|the)\s+\w{1,15})?\s*:?\s*"
    rf"|\b{_VERB}\s+(?:both\s+|all\s+of\s+)?(?P<quoted>(?=[\"']))",
    re.IGNORECASE,
)
_POINTS = re.compile(r"\b(?:the|these|this|following|given)\b|:", re.IGNORECASE)
_PLACED = re.compile(r"\b(?:end|finish|start|begin|clos)\w*\s+(?:it\s+)?$", re.IGNORECASE)
_LETTER = re.compile(r"\b(?P<many>letters?)\b\s*:?\s*", re.IGNORECASE)
_KEYS = re.compile(
    r"\b(?P<many>keys?|fields?|property|properties|attributes?)\b(?:\s+(?:named|called|are))?\s*:?\s*", re.IGNORECASE
)
_ASK = re.compile(
    r"(?:^|[.!?:;,\n]|\b(?:please|and|then|you|must|should|just|only)\b)\s*"
    r"(?:ask|write|give|form|pose|create|make|invent|compose|produce|generate|come up with|think of|"
    r"(?:phrase|put|word) (?:it|this|that) as|(?:answer|reply|respond) with)\s+(?:me\s+|us\s+)?(?:a|an|one|just one)\s+"
    r"(?:(?!(?:to|for|of|a|an|the|about)\b)[\w-]{1,20}\s+){0,3}question\b(?!\s+mark)"
    r"|\bend(?:s|ing)?\s+(?:it\s+)?(?:in|with)\s+a\s+question\s+mark\b",
    re.IGNORECASE,
)
_END = re.compile(
    r"\b(?:(?:end|finish)(?:s|es|ing|ed)?\s+(?:it\s+)?(?:in|with|on|by)\s+"
    r"(?:(?:the|this)\s+(?:exact\s+|single\s+|given\s+)?word\b\s*:?\s*|(?=[\"']))"
    r"|(?:last|final)\s+word\s*(?:is|must be|should be|has to be|:)\s*:?\s*(?:the\s+word\s+)?)",
    re.IGNORECASE,
)
_MOST = re.compile(
    r"\b(?:at most|no more than|not more than|up to|no longer than|not exceed(?:ing)?|within|maximum of|max\.?|maximum)"
    rf"\s+(?P<most>{_COUNT})\s+words\b"
    rf"|\b(?:(?:fewer|less|shorter)\s+than|under|below)\s+(?P<under>{_COUNT})\s+words\b"
    rf"|\b(?P<after>{_COUNT})\s+words\s+(?:or\s+(?:fewer|less)|at\s+(?:the\s+)?most|max(?:imum)?)\b",
    re.IGNORECASE,
)


def compile_prompt(prompt: str) -> list[Constraint]:
    """Return the rules that `prompt` states, without repeats; empty where none is recognised."""
    text = prompt.translate(_QUOTES)
    rules: list[Constraint] = []
    for find in (_json_keys, _question, _words, _letters, _ending, _length):
        rules.extend(find(text))
    return list(dict.fromkeys(rules))


def _json_keys(text: str) -> Iterator[Constraint]:
    if "json" not in text.casefold():
        return
    for match in _KEYS.finditer(text):
        many = match["many"][-1].casefold() == "s"
        if keys := _items(text, match.end(), many=many):
            yield JsonKeys(tuple(keys))
            return  # one object per prompt; a second mention ("both keys must ...") explains the first


def _words(text: str) -> Iterator[Constraint]:
    for match in _HAVE.finditer(text):
        if _PLACED.search(text, max(0, match.start() - 20), match.start()):
            continue  # "ends with the word" is the business of `_ending`
        many = match["many"] is None or match["many"][-1].casefold() == "s"
        bare = _POINTS.search(match.group()) is not None
        rule = Excludes if _negated(text, match) else Includes
        yield from map(rule, _items(text, match.end(), many=many, bare=bare))


def _letters(text: str) -> Iterator[Constraint]:
    for match in _LETTER.finditer(text):
        if _negated(text, match):
            many = match["many"][-1].casefold() == "s"
            found = _items(text, match.end(), many=many, openers=frozenset())
            yield from (Avoids(letter.casefold()) for letter in found if len(letter) == 1)


def _question(text: str) -> Iterator[Constraint]:
    if _ASK.search(text):
        yield IsQuestion()


def _ending(text: str) -> Iterator[Constraint]:
    for match in _END.finditer(text):
        yield from (EndsWith(word) for word in _items(text, match.end(), many=False) if any(map(str.isalnum, word)))


def _length(text: str) -> Iterator[Constraint]:
    for match in _MOST.finditer(text):
        size = match["most"] or match["under"] or match["after"]
        limit = _SIZES.get(size.casefold()) or int(size)
        if (limit := limit - (match["under"] is not None)) > 0:
            yield AtMostWords(limit)


def _items(text: str, position: int, *, many: bool, bare: bool = True, openers: frozenset[str] = _OPENERS) -> list[str]:
    """Read a list that starts at `position`: quoted items, or bare words that open no new rule.

    A bare list ends with the item after its "and", since a verb may follow ("tea and cup and avoid ...").
    """
    items: list[str] = []
    closing = False
    first_quoted: bool | None = None
    while found := _ITEM.match(text, position):
        raw = found.group()
        quoted = raw[0] in "\"'"
        first_quoted = quoted if first_quoted is None else first_quoted
        if quoted != first_quoted or not (quoted or bare) or (not quoted and raw.casefold() in openers):
            break
        items.append(raw[1:-1].strip(" ,.") if quoted else raw)
        glue = _JOIN.match(text, found.end())
        if not many or glue is None or (closing and not quoted):
            break
        closing = bool(glue["and"] or glue["also"])
        position = glue.end()
    return [item for item in items if item]


def _negated(text: str, match: re.Match[str]) -> bool:
    """Whether the clause that leads up to and includes `match` holds a negation."""
    before = text[max(0, match.start() - 60) : match.start()]
    clause = _CLAUSE.split(before)[-1] + match.group()
    return _NOT.search(clause) is not None

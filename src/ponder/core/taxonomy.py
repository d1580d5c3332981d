"""The four axes on which test-time scaling is sorted, and the words that components may carry on them.

Source: the survey of Zhang et al. 2025, arXiv:2503.24235, sections 2 to 5 (card 63): what is scaled, how, where, and
how well. The axes are independent and a component may carry several words on each.
Differs: words for what is outside the survey's scope are ours: adaptation of a model at test time, efficiency, studies,
single answers, and components that work inside methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["AXES", "HOW", "check_tags", "matches"]

# The survey's parts of "how", each with the words that belong to it.
HOW: Mapping[str, tuple[str, ...]] = {
    "tuning": ("supervised", "reinforcement", "heads"),
    "stimulation": ("sampling", "greedy", "prompting", "decoding", "latent", "revision", "mixture", "generation"),
    "verification": ("outcome", "process", "self-evaluation", "certainty", "execution", "rules", "answers"),
    "search": ("beam", "tree", "markov-chain", "lookahead", "retrieval"),
    "aggregation": ("voting", "selection", "fusion"),
    "evaluation": ("tasks", "law", "metric"),  # ours
}
# Of "what", the words from adaptation on are ours.
AXES: Mapping[str, frozenset[str]] = {
    axis: frozenset(words.split())
    for axis, words in {
        "what": "single parallel sequential hybrid internal adaptation efficiency study component other",
        "how": " ".join([*HOW, *(word for words in HOW.values() for word in words)]),
        "where": "reasoning math code science games medical agents general open-ended knowledge evaluation multimodal"
        " translation safety",
        "how_well": "accuracy efficiency controllability scalability calibration win-rate",
    }.items()
}


def check_tags(tags: Mapping[str, Iterable[str]]) -> list[str]:
    """Return what is wrong with a component's tags, in words; an empty list is right.

    Every axis must be there with at least one word of its vocabulary.
    """
    wrong = [f"no tag on the axis {axis!r}" for axis in AXES if not tuple(tags.get(axis, ()))]
    wrong += [f"no such axis: {axis!r}" for axis in tags if axis not in AXES]
    for axis, words in tags.items():
        wrong += [f"{axis}: {word!r} is not in the vocabulary" for word in words if word not in AXES.get(axis, ())]
    return wrong


def matches(tags: Mapping[str, Iterable[str]], wanted: Mapping[str, Iterable[str]]) -> bool:
    """Return whether a component carries every wanted word; on "how" a part of the survey stands for its words."""
    return all(_carries(axis, tuple(tags.get(axis, ())), word) for axis, words in wanted.items() for word in words)


def _carries(axis: str, own: tuple[str, ...], word: str) -> bool:
    return word in own or (axis == "how" and any(part in own for part in HOW.get(word, ())))

"""A run as a tree for the page: samples with what was made of them, steps of a search, what judges said, the choice.

Spans and instants become nodes of a few sorts. An answer that was rewritten hangs below the one before, a judgement
below what it judges, a step below the step it goes on from. What is not known by its sort stands there with its data,
so a trace of any method can be shown.
Source: our own; the spans are grown by `ponder.bench.trace_tree`. Cost: no model call. Needs: the events of a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ponder.bench.trace_tree import Node, grow
from ponder.core.trace import Event
from ponder.gateway.pages import losses
from ponder.gateway.pages.spots import Spot, brief, path_of, spelled, spot_of_call, took
from ponder.gateway.pages.steps import add_steps
from ponder.gateway.redact import HIDDEN

__all__ = ["tree_of"]

# First words of the paths of calls that write a whole answer, and the place of its number behind the task's name.
_ANSWERS = {"sample": 0, "refine": 0, "chain": 0, "rounds": 1}
# Judges that name the step they look at.
_BY_STEP = frozenset({"self_evaluation", "rollout"})
_JUDGES = frozenset({"judge", "generative", "critique", "gen_prm", "self_evaluation", "rollout"})


def tree_of(events: Sequence[Event], result: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the tree as JSON.

    Args:
        events: of the run.
        result: `Result.to_json()`, where it is there: it holds the answers that were read out of the texts.
    """
    root = Spot("trace", "trace")
    root.children = [_spot(node, result or {}) for node in grow(events).children]
    (only,) = root.children if len(root.children) == 1 else (root,)
    return only.to_json()


def _spot(node: Node, result: Mapping[str, Any]) -> Spot:
    match node.kind:
        case "run":
            return _run(node, result)
        case "call":
            return spot_of_call(node)
        case "left_out":
            return Spot("note", f"{node.data.get('events', 'some')} events were left out: the trace was too long")
    facts = [(name, spelled(value)) for name, value in node.data.items()]
    below = [_spot(child, result) for child in node.children]
    return Spot("note", _note_label(node), start=node.start, facts=facts, children=below)


def _run(node: Node, result: Mapping[str, Any]) -> Spot:
    data = node.data
    settings = {name: value for name, value in dict(data.get("settings") or {}).items() if value not in (None, "")}
    run = Spot("run", str(data.get("method", "run")), start=node.start, seconds=took(node))
    run.answer = _text_or_none(data.get("answer"))
    run.facts = [(name, spelled(value)) for name, value in settings.items()]
    run.facts += [("stopped", str(data.get("stopped", "not ended"))), *_bill(data)]
    candidates = [dict(candidate) for candidate in result.get("candidates") or ()]
    steps, used = add_steps(run, node, result)
    answers = _answers(run, node, used)
    for child in node.children:  # judgements and everything else, in their order
        if child.kind == "call":
            if not _is_answer(child) and id(child) not in used:
                _below(run, answers, steps, child).append(spot_of_call(child))
        elif child.kind not in ("score", "choose", "step", "dropped", "dead_end"):
            run.children.append(_spot(child, result))
    _read_candidates(answers, candidates)
    for child in node.children:
        if child.kind == "score" and (found := _by_index(answers, candidates, child.data.get("index"))) is not None:
            _score(found, str(child.data.get("verifier") or "score"), dict(child.data.get("score") or {}))
    choice = next((child for child in reversed(node.children) if child.kind == "choose"), None)
    _choose(run, answers, candidates, result, choice)
    return run


def _answers(run: Spot, node: Node, used: set[int]) -> list[Spot]:
    """Hang the whole answers of a run below it, each rewriting below what it rewrites, and return them all."""
    found: list[Spot] = []
    newest: dict[int, Spot] = {}
    for child in node.children:
        if child.kind != "call" or not _is_answer(child) or id(child) in used:
            continue
        spot = spot_of_call(child)
        spot.kind = "answer"
        head, numbers = path_of(child)
        if head in ("sample", HIDDEN):
            number = int(child.data.get("index") or 0)
            spot.label, above = f"sample {number}", run
        else:
            at = _ANSWERS[head]
            number = numbers[at] if len(numbers) > at else 0
            above = newest.get(number, run)
        spot.place = (number,)
        newest[number] = spot
        above.children.append(spot)
        found.append(spot)
    return found


def _below(run: Spot, answers: Sequence[Spot], steps: Mapping[tuple[int, ...], Spot], call: Node) -> list[Spot]:
    """Return the list of children that a judgement joins."""
    head, numbers = path_of(call)
    if head in _JUDGES and numbers:
        if numbers in steps and head in _BY_STEP:
            return steps[numbers].children
        mine = [spot for spot in answers if spot.place == numbers[:1]]
        if mine:
            rewritten = len(numbers) > 1  # a critique of the so-manyth version
            return mine[min(numbers[1], len(mine) - 1) if rewritten else 0].children
    return run.children


def _choose(
    run: Spot,
    answers: Sequence[Spot],
    candidates: Sequence[Mapping[str, Any]],
    result: Mapping[str, Any],
    choice: Node | None,
) -> None:
    """Mark what was chosen, say of the rest why it lost, and add a node for the choice."""
    index = None if choice is None else choice.data.get("index")
    chosen = _by_index(answers, candidates, index)
    if chosen is not None:
        chosen.state = "chosen"
    losses.judge(answers, chosen)
    if choice is None:
        return
    votes = Counter(spot.answer for spot in answers if spot.answer is not None)
    label = "nothing chosen" if index is None else f"chose {run.answer if chosen is None else chosen.label}"
    spot = Spot("choice", label, answer=_text_or_none(choice.data.get("answer")), start=choice.start)
    spot.text = str(choice.data.get("detail") or "")
    spot.facts = [("stopped", str(choice.data.get("stopped", "")))]
    if len(answers) > 1:
        spot.facts += [(f"votes for {brief(answer, 60)}", str(count)) for answer, count in votes.most_common(20)]
    run.children.append(spot)


def _by_index(answers: Sequence[Spot], candidates: Sequence[Mapping[str, Any]], index: Any) -> Spot | None:
    """Return the answer that a candidate's number means: of that text, the one whose sample has the number before."""
    if not isinstance(index, int) or index < 0:
        return None
    if index < len(candidates):
        text = _candidate_text(candidates[index])
        alike = [spot for spot in answers if spot.text == text and text != HIDDEN]
        if alike:
            return next((spot for spot in alike if spot.place == (index,)), alike[0])
    samples = all(spot.label.startswith("sample ") for spot in answers)
    return next((spot for spot in answers if spot.place == (index,)), None) if samples else None


def _read_candidates(answers: Sequence[Spot], candidates: Sequence[Mapping[str, Any]]) -> None:
    for index, candidate in enumerate(candidates):
        spot = _by_index(answers, candidates, index)
        if spot is None:
            continue
        spot.answer = _text_or_none(candidate.get("answer"))
        for name, score in dict(candidate.get("scores") or {}).items():
            _score(spot, name, dict(score))


def _score(spot: Spot, verifier: str, score: Mapping[str, Any]) -> None:
    value = score.get("value")
    number = value if isinstance(value, int | float) else None
    said = "missing" if value is None else f"{value:.4g}" if number is not None else str(value)
    if f"{verifier} {said}" in spot.scores:
        return
    spot.scores.append(f"{verifier} {said}")
    spot.score = number
    if steps := score.get("steps"):
        spot.facts.append((f"{verifier}, by step", ", ".join(f"{step:.3g}" for step in steps)))
    if score.get("reason"):
        spot.facts.append((f"{verifier} says", str(score["reason"])))


def _is_answer(node: Node) -> bool:
    head, numbers = path_of(node)
    if head == HIDDEN:  # without texts only the shape of the path is left
        return node.data.get("role") == "policy" and not numbers
    return head in _ANSWERS


def _bill(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    out = []
    for role, used in dict(data.get("paid") or data.get("usage") or {}).items():
        said = f"{used.get('calls', 0):,} calls, {used.get('prompt_tokens', 0):,} tokens read"
        out.append((f"paid: {role}", f"{said}, {used.get('completion_tokens', 0):,} written"))
    return out


def _note_label(node: Node) -> str:
    plain = [f"{name} {value}" for name, value in node.data.items() if isinstance(value, str | int | float)]
    return brief(f"{node.kind.replace('_', ' ')}: {', '.join(plain)}" if plain else node.kind, 80)


def _candidate_text(candidate: Mapping[str, Any]) -> str:
    message = candidate.get("message") or {}
    return str(message.get("text") or message.get("content") or "")


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)

"""GenPRM: rewards of steps, the code between them, what is missing, and the critic's rounds."""

from __future__ import annotations

import itertools
import math
import shutil
import statistics
from collections.abc import Sequence

import pytest

from ponder.core.access import Access
from ponder.core.budget import Budget, Meter
from ponder.core.candidate import Candidate, Score
from ponder.core.context import Context
from ponder.core.errors import AccessDenied, ConfigError, ProviderTimeout
from ponder.core.model import Completion, Model, Request, Tokens
from ponder.core.seeds import derive
from ponder.core.task import Message, Task
from ponder.core.trace import Trace
from ponder.core.usage import Usage
from ponder.engines.refine import refine
from ponder.engines.tree import Prefix
from ponder.models.scripted import ScriptedModel
from ponder.numerics.aggregation import aggregate
from ponder.numerics.progress_labels import first_error
from ponder.verifiers.gen_prm import GenPRM, critic

bubblewrap = pytest.mark.system("bubblewrap")
TASK = Task.of("What is 2 + 3 * 4?", answer="number")
SOLUTION = "First 3 * 4 = 12.\n\nThen 2 + 12 = 15.\n\nThe answer is 15."
IMAGINED = GenPRM(execute=False)


def context(model: ScriptedModel, budget: Budget | None = None) -> Context:
    return Context(models={"policy": model}, meter=Meter(budget), trace=Trace(), method="test")


async def scores(
    verifier: GenPRM, model: ScriptedModel, *texts: str, budget: Budget | None = None, task: Task = TASK
) -> list[Score]:
    shown = [Candidate(index=at, message=Message("assistant", text)) for at, text in enumerate(texts)]
    return await verifier.score(task, shown, context(model, budget))


def reviewer(request: Request, number: int) -> str:
    """Analyses, then writes its verdict: no on the paragraph with 15."""
    if request.prefix.endswith(": "):
        return "it adds up.</analyze>\nnever shown"
    return f"print(1)\n```\n</verify>\n<output>\n$\\boxed{{{verdict(request)}}}$\n</output>\n"


def verdict(request: Request) -> str:
    return "No" if "15" in request.messages[-1].text else "Yes"


async def test_each_step_is_judged_in_the_chat_of_those_before() -> None:
    seen: list[Request] = []

    def reply(request: Request, number: int) -> str:
        seen.append(request)
        return reviewer(request, number)

    (score,) = await scores(IMAGINED, ScriptedModel(replies=reply), SOLUTION)
    assert (score.value, score.steps, score.reason) == (0.0, (1.0, 0.0, 0.0), "step 2: it adds up.")
    assert len(seen) == 6
    last = seen[-1]
    assert [message.role for message in last.messages] == ["system", *["user", "assistant"] * 2, "user"]
    assert last.messages[1].text == "What is 2 + 3 * 4?\n\nFirst 3 * 4 = 12."
    assert last.messages[2].text.startswith("<analyze>\nAnalysis of paragraph 1: it adds up.</analyze>\n<verify>\n")
    assert last.messages[2].text.endswith("$\\boxed{Yes}$\n</output>\n")
    assert last.messages[-1].text == "The answer is 15."
    assert last.prefix.startswith("<analyze>\nAnalysis of paragraph 3: ")
    assert (last.sampling.temperature, last.sampling.top_p, last.sampling.top_k) == (0.6, 0.95, 20)
    assert last.logprobs == 20


async def test_reward_is_the_probability_of_the_verdict() -> None:
    def reply(request: Request, number: int) -> Completion:
        texts = ("{", "Yes", "}$\n")
        top: tuple = ((), ((5, "Yes", math.log(0.6)), (6, "No", math.log(0.2))), ())
        return Completion(
            message=Message("assistant", "".join(texts)),
            finish="stop",
            usage=Usage(calls=1, completion_tokens=3),
            tokens=Tokens(ids=(1, 5, 2), texts=texts, top=top),
            stop="</output>\n",
        )

    direct = GenPRM(analyse=False, verify=False, execute=False)
    (score,) = await scores(direct, ScriptedModel(replies=reply), "x = 1")
    assert score.value == pytest.approx(0.75)


async def test_votes_are_averaged_and_the_first_text_stays_in_the_chat() -> None:
    votes = iter([1, 1, 0, 1, 0, 1, 1, 1, 1, 1])
    model = ScriptedModel(replies=lambda request, number: f"{{{'Yes' if next(votes) else 'No'}}}$\n</output>\n")
    (score,) = await scores(GenPRM(votes=5, analyse=False, verify=False, execute=False), model, "a\n\nb")
    assert score.steps == pytest.approx((0.6, 1.0))
    assert score.value == pytest.approx(0.6)
    assert model.calls == 10


@pytest.mark.parametrize(("how", "value"), [("min", 0.0), ("last", 0.0), ("mean", 1 / 3), ("product", 0.0)])
async def test_score_is_the_aggregation_of_the_steps(how: str, value: float) -> None:
    verifier = GenPRM(execute=False, aggregation=how)  # type: ignore[arg-type]  # one of its words
    (score,) = await scores(verifier, ScriptedModel(replies=reviewer), SOLUTION)
    assert score.value == pytest.approx(value)


async def test_equal_solutions_are_judged_once() -> None:
    model = ScriptedModel(replies=reviewer)
    found = await scores(IMAGINED, model, SOLUTION, "  \n\n ", SOLUTION)
    assert [score.value for score in found] == [0.0, None, 0.0]
    assert "no step" in found[1].reason
    assert model.calls == 6


async def test_prefixes_have_one_score_for_each_of_their_steps() -> None:
    prefixes = [
        Prefix(node=(0,), steps=("First 3 * 4 = 12.\n",), finished=False),
        Prefix(node=(0, 1), steps=("First 3 * 4 = 12.\n", "\n", "So 2 + 12 = 15."), finished=True),
    ]
    found = await IMAGINED.score_steps(TASK, prefixes, context(ScriptedModel(replies=reviewer)))
    assert [score.steps for score in found] == [(1.0,), (1.0, 1.0, 0.0)]


# -- code ------------------------------------------------------------------------------------------------------------


def coder(blocks: Sequence[str], seen: list[str]) -> ScriptedModel:
    """Writes one code block after the other, then a yes."""

    def reply(request: Request, number: int) -> str:
        seen.append(request.prefix)
        if request.prefix.endswith("\\boxed"):
            return "{Yes}$\n</output>\n"
        at = request.prefix.count("[Code Output]")
        if at < len(blocks):
            return ("```python\n" if at else "") + blocks[at] + "\n```\nimagined"
        return "</verify>\n<output>\n$\\boxed{Yes}$\n</output>\n"

    return ScriptedModel(replies=reply)


@bubblewrap
async def test_code_is_run_and_its_output_shown() -> None:
    seen: list[str] = []
    (score,) = await scores(GenPRM(analyse=False), coder(["x = 2 + 2\nprint(x)", "print(y)"], seen), "a")
    assert score.value == 1.0
    assert seen[1].endswith("x = 2 + 2\nprint(x)\n```\n[Code Output]\n\n```\n4\n```\n")
    assert seen[2].endswith("[Code Output]\n\n```\nNameError: name 'y' is not defined\n```\n")


@bubblewrap
async def test_namespace_lasts_over_steps_and_is_not_shared_by_votes() -> None:
    seen: list[str] = []
    block = "z = globals().get('z', 0) + 1\nprint(z)"
    await scores(GenPRM(analyse=False, votes=2), coder([block], seen), "a\n\nb")
    outputs = [prefix.rpartition("[Code Output]")[2].strip(" `\n") for prefix in seen if "[Code Output]" in prefix]
    assert outputs == ["1", "1", "2", "2"]


@bubblewrap
async def test_endless_program_is_told_as_such() -> None:
    seen: list[str] = []
    (score,) = await scores(GenPRM(analyse=False, seconds=1), coder(["while True: pass"], seen), "a")
    assert score.value == 1.0
    assert seen[1].endswith("[Code Output]\n\n```\ntimeout\n```\n")


@bubblewrap
async def test_too_many_rounds_force_a_verdict_from_the_analysis() -> None:
    seen: list[str] = []
    (score,) = await scores(GenPRM(rounds=3), coder(["print(1)"] * 9, seen), "a")
    assert score.value == 1.0
    assert len(seen) == 5
    assert seen[-1].startswith("<analyze>")
    assert seen[-1].endswith("</analyze>\n<output>\n**Judgement**: $\\boxed")
    assert "[Code Output]" not in seen[-1]


@bubblewrap
async def test_back_end_that_does_not_name_its_stop_is_understood() -> None:
    plain = coder(["print(2 + 2)"], [])
    inner = plain.replies
    assert callable(inner)

    def reply(request: Request, number: int) -> Completion:
        text = inner(request, number)
        assert isinstance(text, str)
        places = [text.find(stop) for stop in request.sampling.stop if stop in text]
        message = Message("assistant", text[: min(places)] if places else text)
        return Completion(message=message, finish="stop", usage=Usage(calls=1))

    (score,) = await scores(GenPRM(analyse=False), ScriptedModel(replies=reply), "a")
    assert score.value == 1.0


async def test_without_sandbox_nothing_is_spent_and_the_reason_is_the_install_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    model = ScriptedModel(replies=reviewer)
    found = await scores(GenPRM(), model, SOLUTION, "")
    assert [score.value for score in found] == [None, None]
    assert "apt-get install bubblewrap" in found[0].reason
    assert model.calls == 0
    assert (await scores(IMAGINED, model, SOLUTION))[0].value == 0.0


# -- what is missing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\\boxed{12}", "Yes", "maybe</output>\n", "\\boxed{Yes", ""])
async def test_step_without_verdict_makes_the_score_missing(text: str) -> None:
    def reply(request: Request, number: int) -> str:
        if request.prefix.endswith(": "):
            return "\\boxed{Yes} is what I would say, if it were the verdict.</analyze>\n"
        return "\\boxed{Yes}</output>\n" if "first" in request.messages[-1].text else text

    (score,) = await scores(IMAGINED, ScriptedModel(replies=reply), "first\n\nsecond\n\nthird")
    assert score == Score.missing("the verdict on step 2 cannot be read")


async def test_failed_calls_and_budgets_are_missing_with_their_reason() -> None:
    (failed,) = await scores(IMAGINED, ScriptedModel(replies=[ProviderTimeout("too slow")]), "a")
    assert failed == Score.missing("the judge failed at step 1: too slow")
    (broke,) = await scores(IMAGINED, ScriptedModel(replies=reviewer), SOLUTION, budget=Budget(calls=3))
    assert broke.value is None
    assert broke.reason.startswith("step 2 not judged: budget reached")
    (lost,) = await IMAGINED.score(TASK, [Candidate(index=0, error="down")], context(ScriptedModel()))
    assert lost == Score.missing("no answer: down")


async def test_model_that_cannot_continue_a_beginning_is_refused() -> None:
    model = ScriptedModel(access=frozenset({Access.TEXT}))
    with pytest.raises(AccessDenied, match="gen_prm needs prefix"):
        await scores(IMAGINED, model, "a")
    assert model.calls == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"votes": 0},
        {"rounds": 0},
        {"max_tokens": 0},
        {"seconds": 0.0},
        {"delimiter": ""},
        {"votes": 2, "temperature": 0.0},
        {"verify": False},
    ],
)
def test_settings_are_checked(settings: dict) -> None:
    with pytest.raises(ConfigError):
        GenPRM(**settings)


# -- the critic ------------------------------------------------------------------------------------------------------


async def test_critic_makes_the_policy_rethink_until_no_step_is_bad() -> None:
    asked: list[Request] = []
    attempts = iter([SOLUTION, "First 12.\n\nThen 15 again.", "First 12.\n\nThen 14.", "never asked for"])

    def reply(request: Request, number: int) -> str:
        if request.prefix:
            return reviewer(request, number)
        asked.append(request)
        return next(attempts)

    ctx = context(ScriptedModel(replies=reply))
    found = await refine(TASK, ctx, chains=1, rounds=3, follow=critic(IMAGINED, TASK, ctx))
    assert [candidate.text for candidate in found.candidates][1:] == [
        "First 12.\n\nThen 15 again.",
        "First 12.\n\nThen 14.",
    ]
    old, review = asked[1].messages[-2:]
    assert (old.role, old.text) == ("assistant", SOLUTION)
    assert "<paragraph>\nThen 2 + 12 = 15.\n</paragraph>" in review.text
    assert "<review>\nit adds up.\n</review>" in review.text


async def test_verification_may_end_at_the_first_bad_step() -> None:
    steps = IMAGINED.steps(SOLUTION)
    for first_bad, found in ((False, (1.0, 0.0, 0.0)), (True, (1.0, 0.0))):
        model = ScriptedModel(replies=reviewer)
        verified = await IMAGINED.verify_solution(TASK, steps, context(model), first_bad=first_bad)
        assert (verified.rewards, verified.problem, verified.ended) == (found, "", None)
        assert model.calls == 2 * len(found)
        assert model.calls <= len(found) * IMAGINED.calls_a_step()


async def test_end_of_the_run_inside_a_verification_ends_the_critic() -> None:
    attempts = ScriptedModel(replies=lambda request, n: reviewer(request, n) if request.prefix else SOLUTION)
    ctx = context(attempts, Budget(calls=2))
    found = await refine(TASK, ctx, chains=1, rounds=3, follow=critic(IMAGINED, TASK, ctx))
    assert (len(found.candidates), found.stopped) == (1, "budget")


async def test_critic_leaves_a_good_solution_alone() -> None:
    model = ScriptedModel(replies=lambda request, n: reviewer(request, n) if request.prefix else "All is 14.")
    ctx = context(model)
    found = await refine(TASK, ctx, chains=1, rounds=3, follow=critic(IMAGINED, TASK, ctx))
    assert [candidate.text for candidate in found.candidates] == ["All is 14."]
    assert model.calls == 3  # the answer, its analysis, its check


@pytest.mark.embedded
@bubblewrap
async def test_embedded_model_gives_rewards(embedded: Model) -> None:
    ctx = Context(models={"policy": embedded}, meter=Meter(None), trace=Trace(), method="test")
    shown = [Candidate(index=0, message=Message("assistant", "First 3 * 4 = 12."))]
    for verifier in (GenPRM(rounds=1, max_tokens=64), GenPRM(analyse=False, verify=False, execute=False)):
        (score,) = await verifier.score(TASK, shown, ctx)
        assert score.value is None or 0 < score.value < 1, "a probability, not a vote"
    assert ctx.meter.nominal["judge"].completion_tokens <= 200


async def rewards(votes: int, chance: float, *, runs: int = 300, shared: bool = False) -> list[float]:
    """Rewards of one step by a model that says yes with this chance; `shared`: all votes of a run say the same."""

    def reply(request: Request, number: int) -> str:
        luck = derive(number // votes if shared else request.seed, "verdict").random()
        return f"{{{'Yes' if luck < chance else 'No'}}}$\n</output>\n"

    found = []
    model = ScriptedModel(replies=reply)
    direct = GenPRM(votes=votes, analyse=False, verify=False, execute=False)
    for seed in range(runs):
        ctx = Context(models={"policy": model}, meter=Meter(None), trace=Trace(), method="test", seed=seed)
        verified = await direct.verify_solution(TASK, ["a"], ctx)
        found.append(verified.rewards[0])
    return found


async def test_variance_of_the_mean_vote_falls_with_their_number() -> None:
    """Card 57, check 4: K = 1 is a single run, 0 or 1; the variance of K of them is 1/K of its own."""
    one, nine = await rewards(1, 0.7), await rewards(9, 0.7)
    assert set(one) == {0.0, 1.0}
    assert statistics.fmean(one) == pytest.approx(0.7, abs=0.08)
    assert statistics.fmean(nine) == pytest.approx(0.7, abs=0.04)
    assert statistics.pvariance(one) / statistics.pvariance(nine) == pytest.approx(9, rel=0.35)


async def test_votes_that_err_together_gain_nothing() -> None:
    """Card 57, check 8: independent votes of nine are right in 90 %, correlated ones as often as a single one."""
    apart, together = await rewards(9, 0.7), await rewards(9, 0.7, shared=True)
    single = await rewards(1, 0.7)

    def right(found: Sequence[float]) -> float:
        return statistics.fmean(reward >= 0.5 for reward in found)

    assert right(apart) == pytest.approx(0.9012, abs=0.05)
    assert right(together) == pytest.approx(right(single), abs=0.08)
    assert set(together) == {0.0, 1.0}


def test_nine_independent_votes_beat_one() -> None:
    right = sum(
        math.prod(0.7 if vote else 0.3 for vote in votes)
        for votes in itertools.product((1.0, 0.0), repeat=9)
        if first_error([aggregate(votes, "mean") or 0.0]) is None
    )
    assert right == pytest.approx(0.9012, abs=1e-4)  # card 57, check 8

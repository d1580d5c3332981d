"""The exit codes of the command line, in one table: `--help` prints it, scripts may rely on it."""

from __future__ import annotations

from ponder.core.errors import PonderError, ProviderError, Stopped

__all__ = ["ABORTED", "BAD_INPUT", "CODES", "ENDPOINT", "NO_ANSWER", "explain", "of_error", "of_run"]

NO_ANSWER, BAD_INPUT, ENDPOINT, ABORTED = 1, 2, 4, 130

# What ended a run -> exit code. An answer that the budget bought is an answer.
CODES: dict[Stopped, int] = {
    "done": 0,
    "agreement": 0,
    "budget": 0,
    "deadline": 3,
    "endpoint": ENDPOINT,
    "overrun": 5,
    "cancelled": ABORTED,
}
_MEANING = {
    0: "an answer, the whole budget spent or not",
    NO_ANSWER: "the run ended by itself, without an answer",
    BAD_INPUT: "wrong usage, settings or input (nothing was spent), or no room for the output",
    3: "the deadline (budget seconds=...) was reached",
    ENDPOINT: "the model or its endpoint failed",
    5: "a call cost more than was reserved for it",
    ABORTED: "Ctrl-C (once: the best so far; twice: at once)",
}


def of_run(stopped: Stopped, *, answered: bool) -> int:
    """Return the exit code of a run: why it ended early, else whether there is an answer."""
    return CODES[stopped] or (0 if answered else NO_ANSWER)


def of_error(error: PonderError) -> int:
    """Return the exit code of a command that an error ended."""
    return ENDPOINT if isinstance(error, ProviderError) else BAD_INPUT


def explain() -> str:
    """Return the table as text, one code a line."""
    return "\n".join(f"{code:>4}  {meaning}" for code, meaning in _MEANING.items())

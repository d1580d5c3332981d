"""Every error that ponder raises, in one tree.

    PonderError
    ├── ConfigError (ValueError)         the caller's settings contradict each other or make no sense
    │   ├── UnknownName (LookupError)    no component of that name; near matches in the message
    │   └── AccessDenied                 the method needs access that the model does not give
    ├── MissingExtra (ImportError)       an optional dependency is not installed; the message is the install line
    ├── BadInput (ValueError)            a file, prompt or answer that cannot be used
    ├── Interrupted                      the run must end now, with the best answer so far (never a failure)
    │   └── OutOfBudget                  the next call would not fit the budget
    └── ProviderError                    a model call failed
        ├── RateLimited                  retryable
        ├── ProviderTimeout (TimeoutError) retryable
        ├── BadReply                     the server answered something that cannot be read; retryable
        ├── RequestRefused               the server will refuse this request each time (4xx)
        └── EndpointDown                 the endpoint is gone: the run ends with the best so far

Classes say whether the same call may be tried again (`retryable`) and what a person can do (`hint`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from ponder.core.usage import Usage

__all__ = [
    "AccessDenied",
    "BadInput",
    "BadReply",
    "ConfigError",
    "EndpointDown",
    "Interrupted",
    "MissingExtra",
    "OutOfBudget",
    "PonderError",
    "ProviderError",
    "ProviderTimeout",
    "RateLimited",
    "RequestRefused",
    "Stopped",
    "UnknownName",
]

Stopped = Literal["done", "agreement", "budget", "deadline", "cancelled", "endpoint", "overrun"]


class PonderError(Exception):
    """Base of all errors raised on purpose by ponder."""

    retryable: ClassVar[bool] = False
    hint: ClassVar[str] = ""


class ConfigError(PonderError, ValueError):
    """Settings that contradict each other or cannot work."""


class UnknownName(ConfigError, LookupError):
    """A name that no registered component has; the message lists near matches."""


class AccessDenied(ConfigError):
    """The method needs access to the model that this back-end does not give."""

    hint = "`ponder methods show NAME` lists what a method needs, `ponder models` what each back-end gives."


class MissingExtra(PonderError, ImportError):
    """An optional dependency is missing; the message holds the install line."""


class BadInput(PonderError, ValueError):
    """A prompt, file or record that cannot be used as it is."""


class Interrupted(PonderError):
    """The run is told to end: engines stop and choose among what they have.

    Attributes:
        reason: why, in the words of `Result.stopped`.
    """

    def __init__(self, message: str, *, reason: Stopped) -> None:
        super().__init__(message)
        self.reason = reason


class OutOfBudget(Interrupted):
    """The next call does not fit the budget.

    Attributes:
        unit: the limit that was reached (a field name of `Budget`).
        limit: its value.
        needed: what the call would have needed.
    """

    def __init__(self, unit: str, *, limit: float, needed: float) -> None:
        super().__init__(f"budget reached: {unit} limit {limit:g}, the next call needs {needed:g}", reason="budget")
        self.unit, self.limit, self.needed = unit, limit, needed


class ProviderError(PonderError):
    """A model call failed.

    Attributes:
        status: HTTP status where there was one.
        retry_after: seconds that the server asked to wait, where it did.
        spent: what its attempts cost together, where the back-end knows; else the meter decides by the class.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after
        self.spent: Usage | None = None


class RateLimited(ProviderError):
    """The provider asks for a slower pace."""

    retryable = True
    hint = "Lower the concurrency or set requests_per_minute / tokens_per_minute."


class ProviderTimeout(ProviderError, TimeoutError):
    """No answer within the time given to one call."""

    retryable = True
    hint = "Raise the per-call timeout or lower max_tokens."


class BadReply(ProviderError):
    """The server's answer cannot be read."""

    retryable = True


class RequestRefused(ProviderError):
    """The server refuses this request and will do so each time."""


class EndpointDown(ProviderError):
    """The endpoint is gone (connection refused, process died, out of retries)."""

    hint = "Check that the server runs: `ponder doctor --endpoint URL#MODEL`."

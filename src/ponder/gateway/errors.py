"""What goes wrong, in OpenAI's error format and under the right status.

Source: the error object of OpenAI's API reference: `{"error": {"message", "type", "param", "code"}}`. Clients of that
API retry 408, 409, 429 and 5xx by themselves; what a second attempt cannot mend is therefore another 4xx.
A failure of an upstream says what the upstream said only where it is about the request (its 400): a key of ours that
it refuses is our own trouble, a 502, and its words are for the log.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ponder.core.errors import (
    BadInput,
    ConfigError,
    Interrupted,
    MissingExtra,
    PonderError,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    RequestRefused,
    UnknownName,
)

__all__ = ["ApiError", "near", "of", "of_provider", "of_stop"]

_INVALID = "invalid_request_error"
# Statuses with which an upstream says that the request itself is at fault.
_THEIRS = (400, 413, 415, 422)


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        message: for people; it says what to do next.
        status: HTTP status.
        kind: OpenAI's `type`.
        code: for programs, or None.
        param: the field at fault, or None.
        retry_after: seconds to wait before another attempt, or None.
        headers: further headers.
        more: further fields of the error object.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = _INVALID,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.kind, self.code, self.param = message, status, kind, code, param
        self.retry_after, self.headers, self.more = retry_after, dict(headers or {}), dict(more or {})

    def body(self) -> dict[str, Any]:
        """Return the JSON object."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": {**error, **self.more}}


def near(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the names that are like one that is not known, or with all."""
    names = list(known)
    close = difflib.get_close_matches(name[:100], names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(map(repr, close))}?" if close else f"There are: {', '.join(names) or 'none'}."


def of(err: BaseException) -> ApiError | None:
    """Return the answer to an error that was raised on purpose; None for a fault of our own."""
    if isinstance(err, ApiError):
        return err
    if isinstance(err, ProviderError):
        return of_provider(err)
    if isinstance(err, UnknownName):
        return ApiError(str(err), code="unknown_name")
    if isinstance(err, MissingExtra):
        return ApiError(f"this gateway lacks a part: {err}", code="missing_extra")
    if isinstance(err, ConfigError):
        return ApiError(str(err), code="impossible")
    if isinstance(err, BadInput):
        return ApiError(str(err))
    if isinstance(err, Interrupted):
        return of_stop(err.reason, str(err))
    if isinstance(err, PonderError):
        return _of_house(err)
    return None


def of_provider(err: ProviderError) -> ApiError:
    """Return the answer to a failed upstream."""
    if isinstance(err, RequestRefused) and (err.status is None or err.status in _THEIRS):
        return ApiError(f"the model's server refuses this request: {err}", code="refused_by_upstream")
    if isinstance(err, RateLimited):
        return ApiError(
            "the model's server asks for a slower pace",
            status=429,
            kind="rate_limit_error",
            code="upstream_rate_limited",
            retry_after=1.0 if err.retry_after is None else err.retry_after,
        )
    if isinstance(err, ProviderTimeout):
        return ApiError("the model's server gave no answer in time", status=504, kind="upstream_error", code="timeout")
    return ApiError(
        f"no upstream gave an answer ({type(err).__name__})", status=502, kind="upstream_error", code="upstream_failed"
    )


def of_stop(stopped: str, detail: str) -> ApiError:
    """Return the answer of a run that ended with nothing to show, by the word of `Result.stopped`."""
    match stopped:
        case "budget":
            return ApiError(
                f"the budget ended before there was an answer: {detail}",
                status=402,
                kind="insufficient_quota",
                code="budget_exceeded",
            )
        case "deadline":
            return ApiError(
                f"the deadline passed before there was an answer: {detail}",
                status=504,
                kind="timeout_error",
                code="deadline_exceeded",
            )
        case "cancelled":
            return ApiError(
                f"the run was ended before there was an answer: {detail}",
                status=503,
                kind="server_error",
                code="cancelled",
                retry_after=1.0,
            )
        case _:
            return ApiError("no upstream gave an answer", status=502, kind="upstream_error", code="upstream_failed")


def _of_house(err: PonderError) -> ApiError:
    """Return the answer to a refusal by the account, the queue or the counters: they carry status and waiting time."""
    status = int(getattr(err, "status", 0)) or (429 if hasattr(err, "retry_after") else 503)
    left = getattr(err, "left", None)
    kinds = {402: "insufficient_quota", 429: "rate_limit_error"}
    codes = {402: "insufficient_quota", 429: "rate_limit_exceeded"}
    return ApiError(
        str(err),
        status=status,
        kind=kinds.get(status, "server_error"),
        code=codes.get(status, "unavailable"),
        retry_after=getattr(err, "retry_after", None),
        more={} if left is None else {"left": left},
    )

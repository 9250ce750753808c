"""tenacity, made strict: which errors are transient must be said, and both bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from dmguard.edge.hidden import hidden

# Tornado: tenacity loads it where it is installed, for others' sake.
with hidden("tornado"):
    from tenacity import AsyncRetrying
    from tenacity.retry import retry_if_exception_type
    from tenacity.stop import stop_after_attempt, stop_after_delay
    from tenacity.wait import wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


async def retry(
    operation: Callable[[], Awaitable[T]],
    *,
    on: tuple[type[Exception], ...],
    attempts: int,
    within_s: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Run `operation` until it succeeds, fails otherwise, or the bounds are reached.

    The last error is raised as it is. `on` is positive: a negative predicate would retry a
    cancellation, too. ValueError for anything in it that is not an Exception.
    """
    if not on or not all(issubclass(error, Exception) for error in on):
        raise ValueError("on: name the Exceptions that are transient")
    # A new object each time: one that is shared mixes up its users' attempts.
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(on),
        stop=stop_after_attempt(attempts) | stop_after_delay(within_s),
        wait=wait_random_exponential(multiplier=0.1, max=2.0),
        sleep=sleep,
        reraise=True,
    )
    result: T = await retrying(operation)
    return result

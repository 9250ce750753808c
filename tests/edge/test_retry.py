"""edge/retry: bounded, honest, and no obstacle to a cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dmguard.edge.retry import retry
from tests.edge.conftest import run


class Flaky:
    """Fails with the given errors in turn, then answers 'done'."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def no_sleep(_: float) -> None:
    return


def test_succeeds_after_transient_errors() -> None:
    flaky = Flaky(OSError(1), OSError(2))
    assert run(retry(flaky, on=(OSError,), attempts=3, within_s=9, sleep=no_sleep)) == "done"
    assert flaky.calls == 3


def test_no_more_attempts_than_allowed_and_the_last_error_as_it_is() -> None:
    errors = [OSError(f"number {i}") for i in range(5)]
    flaky = Flaky(*errors)
    with pytest.raises(OSError, match="number 2") as caught:
        run(retry(flaky, on=(OSError,), attempts=3, within_s=9, sleep=no_sleep))
    assert caught.value is errors[2]
    assert flaky.calls == 3


def test_no_attempt_after_the_time_is_up() -> None:
    flaky = Flaky(OSError("first"), OSError("second"))
    with pytest.raises(OSError, match="first"):
        run(retry(flaky, on=(OSError,), attempts=100, within_s=0, sleep=no_sleep))
    assert flaky.calls == 1


def test_an_error_that_is_not_named_is_not_retried() -> None:
    flaky = Flaky(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        run(retry(flaky, on=(OSError,), attempts=9, within_s=9, sleep=no_sleep))
    assert flaky.calls == 1


def test_pauses_are_bounded_and_grow_from_a_short_one() -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    flaky = Flaky(*[OSError(i) for i in range(30)])
    assert run(retry(flaky, on=(OSError,), attempts=40, within_s=9, sleep=note)) == "done"
    assert len(pauses) == 30
    assert pauses[0] <= 0.1
    assert all(0 <= pause <= 2.0 for pause in pauses)


@pytest.mark.parametrize(
    "on", [(), (BaseException,), (OSError, asyncio.CancelledError), (KeyboardInterrupt,)]
)
def test_only_exceptions_can_be_transient(on: Any) -> None:
    flaky = Flaky()
    with pytest.raises(ValueError, match="transient"):
        run(retry(flaky, on=on, attempts=1, within_s=1))
    assert flaky.calls == 0


def test_a_cancellation_in_the_operation_is_not_swallowed() -> None:
    flaky = Flaky(asyncio.CancelledError())

    async def main() -> bool:
        task = asyncio.create_task(
            _result(retry(flaky, on=(Exception,), attempts=9, within_s=9, sleep=no_sleep))
        )
        await asyncio.wait([task])
        return task.cancelled()

    assert run(main())
    assert flaky.calls == 1


def test_a_cancellation_in_a_pause_is_not_swallowed() -> None:
    flaky = Flaky(*[OSError(i) for i in range(9)])

    async def main() -> bool:
        pausing = asyncio.Event()

        async def for_ever(_: float) -> None:
            pausing.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(
            _result(retry(flaky, on=(Exception,), attempts=9, within_s=9, sleep=for_ever))
        )
        await pausing.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run(main())
    assert flaky.calls == 1


async def _result(awaitable: Any) -> Any:
    return await awaitable


def test_two_at_once_count_for_themselves() -> None:
    one, two = Flaky(OSError(1)), Flaky(OSError(1), OSError(2))

    async def main() -> list[str]:
        return await asyncio.gather(
            *(
                retry(flaky, on=(OSError,), attempts=3, within_s=9, sleep=no_sleep)
                for flaky in (one, two)
            )
        )

    assert run(main()) == ["done", "done"]
    assert (one.calls, two.calls) == (2, 3)

"""A time of its own: whoever waits is there at once, and the clock says that it took as long."""

import asyncio
import selectors
from types import SimpleNamespace

import pytest


class _Jumping(selectors.SelectSelector):
    """Waits for nothing, and has the clock go on by as long as it was to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits, and for nothing"
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock only moves while everybody waits."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def rule(self, monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
        """These modules have its time for theirs."""
        clock = SimpleNamespace(monotonic=self.time, time=self.time)
        for module in modules:
            monkeypatch.setattr(f"{module}.time", clock)

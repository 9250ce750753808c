"""A test that did not run proves nothing: one skipped, expected to fail or rerun fails the run."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter  # pytest itself exports it from 8.0 on


class NothingLeftOut:
    def __init__(self) -> None:
        self.left_out: list[str] = []

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.outcome not in ("passed", "failed") or hasattr(report, "wasxfail"):
            self.left_out.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.note(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.left_out and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: "TerminalReporter") -> None:
        for nodeid in self.left_out:
            terminalreporter.write_line(f"LEFT OUT, so the run failed: {nodeid}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(NothingLeftOut(), "nothing-left-out")
    # The first example of a run also pays for the imports that are left until they are needed.
    settings.register_profile("dmguard", deadline=None, stateful_step_count=40)
    # For --hypothesis-profile=long: a quarter of an hour for each model and property that does not
    # say itself how many examples it has.
    settings.register_profile(
        "long", deadline=None, max_examples=10_000, stateful_step_count=80, print_blob=True
    )
    settings.load_profile("dmguard")

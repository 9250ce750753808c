"""Many rounds on as many machines as are needed, some of them side by side."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.lab.building import ROOT
from tests.lab.channel import LabError
from tests.lab.machine import Machine
from tests.torture.rounds import ACTS, Cut, Rounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.lab.images import Image
    from tests.torture.acts import Act

OUT = ROOT / "build" / "torture"
REPORTS = {
    "journal.txt": "journalctl --no-pager -o short-precise",
    "history.jsonl": "cat /var/lib/dmguard/history.jsonl",
    "state.txt": "ls -l /var/lib/dmguard; dmsetup table; dmsetup status --noflush;"
    " timeout 20 lvs -a -o +devices --config global/wait_for_locks=0;"
    " timeout 20 pvs --config global/wait_for_locks=0",
}


@dataclass
class Campaign:
    """What is to be cut, and what came of it so far."""

    image: Image
    seed: int
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    _measuring: dict[str, threading.Lock] = field(default_factory=dict)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def run(self, rounds: dict[str, list[int]], jobs: int) -> None:
        """These rounds of each act, the acts by turns."""
        self._measuring = {name: threading.Lock() for name in rounds}
        shares = {name: list(_shares(numbers, ACTS[name])) for name, numbers in rounds.items()}
        longest = max(map(len, shares.values()))
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for turn in range(longest):
                    for name, share in shares.items():
                        if turn < len(share):
                            pool.submit(self._share, name, share[turn])
                pool.shutdown()
            except KeyboardInterrupt:
                self.is_over.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _share(self, name: str, numbers: list[int]) -> None:
        """All of these rounds; after a failed one on another machine."""
        left = list(numbers)
        while left and not self.is_over.is_set():
            for cut in self._on_one_machine(ACTS[name], left):
                left.remove(cut.number)
                with self._writing:
                    self.cuts.append(cut)
                    print(f"torture: {cut}", flush=True)

    def _on_one_machine(self, kind: type[Act], numbers: list[int]) -> Iterator[Cut]:
        number, began = numbers[0], time.monotonic()
        folder = OUT / "run" / f"{kind.name}-{number}-{time.time_ns():x}"
        with Machine(self.image, folder, append=kind.append) as m:
            try:
                rounds = Rounds(_boot(m, kind), kind)
                span = self._span(kind.name, rounds)
                for number in list(numbers):
                    if self.is_over.is_set():
                        return
                    began = time.monotonic()
                    yield rounds.cut(self.seed, number, span)
            except Exception:  # noqa: BLE001 - the pool would swallow it, and the round be missing
                failed = Cut(kind.name, number, 0, failure=traceback.format_exc())
                yield self._keep(m, replace(failed, seconds=time.monotonic() - began))

    def _span(self, name: str, rounds: Rounds) -> tuple[float, float]:
        with self._measuring[name]:
            if name not in self.spans:
                self.spans[name] = rounds.measure()
                begin, end = self.spans[name]
                print(f"torture: {name}: from {begin:.2f} s to {end:.2f} s", flush=True)
        return self.spans[name]

    def _keep(self, m: Machine, cut: Cut) -> Cut:
        """Its machine is not tried again; what there is of it stays."""
        folder = OUT / "failed" / m.workdir.name
        folder.mkdir(parents=True)
        for name, cmd in REPORTS.items():
            text = "the machine did not answer\n"
            with contextlib.suppress(LabError):
                result = m.run(cmd, timeout=40, check=False)
                text = result.out + result.err
            (folder / name).write_text(text)
        m.power_cut()
        for file in (*m.workdir.glob("*.img"), *m.workdir.glob("*.cow"), m.workdir / "console.txt"):
            file.rename(folder / file.name)
        words = f"--acts {cut.act} --seed {self.seed} --first {cut.number} --cuts 1"
        if cut.act in self.spans:
            begin, end = self.spans[cut.act]
            words += f" --span {begin:.3f},{end:.3f}"
        replay = f"python3 -m tests.torture {words}"
        (folder / "failure.txt").write_text(f"{cut.failure}\n{replay}\n")
        print(f"torture: kept in {folder.relative_to(ROOT)}; again: {replay}", flush=True)
        return cut


def _boot(m: Machine, kind: type[Act]) -> Machine:
    for size in kind.disks:
        m.add_disk(size)
    m.boot()
    m.put("/etc/dmguard/dmguard.toml", kind.settings)
    m.run("systemctl restart dmguard")
    return m


def _shares(numbers: list[int], kind: type[Act]) -> Iterator[list[int]]:
    """As many as one machine can do; it may have to measure first."""
    size = kind.rounds - 1
    for begin in range(0, len(numbers), size):
        yield numbers[begin : begin + size]


def share_out(names: Iterable[str], cuts: int, first: int) -> dict[str, list[int]]:
    """So many cuts in all, dealt out to the acts."""
    names = list(names)
    counts = [len(range(place, cuts, len(names))) for place in range(len(names))]
    return {
        name: list(range(first, first + count))
        for name, count in zip(names, counts, strict=True)
        if count
    }

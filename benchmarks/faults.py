"""Kills, signals, full and read-only disks, at random moments of small works; counts what is not as it would have been.

    uv run benchmarks/faults.py --kills 50 --seed 0

After each fault the work goes on by its resume flag to its end, and its result must equal that of a run that nothing happened
to: bit for bit, times of day aside. Full and read-only disks are mounted, which takes the superuser's rights; without them
they are left out. A fault that comes after the end of a run does not count. Exit code 1 where anything differed.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch reads it: threads and forks do not go together

import argparse
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_runs import Ended, Run, disk, fill, remount
from fault_works import Work, works

RAW = re.compile(r"\b[A-Z]\w*(Error|Exception|Warning): |Traceback|Exception ignored")
HINT = re.compile(r"--resume|run again|the same command again|the next run")


class Trials:
    """One work under faults: counts them, and tells what went wrong."""

    def __init__(self, work: Work, out: Path, rng: random.Random) -> None:
        self.work, self.out, self.rng = work, out, rng
        self.counts, self.wrong = Counter[str](), Counter[str]()
        self._log = out.with_name(f"{out.name}-{work.name}.log")
        self.clear()
        began = time.monotonic()
        run = self.start()
        while run.running and not any(out.iterdir()):
            time.sleep(0.002)
        self.first = time.monotonic() - began
        ended = run.end()
        self.whole = time.monotonic() - began
        if ended.code:
            raise SystemExit(f"{work.name}: does not run even undisturbed\n{ended.said}")
        self.wanted = work.result(out)

    def clear(self) -> None:
        """Empty the folder written to."""
        for path in self.out.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def start(self) -> Run:
        """Begin, or go on where there is something to go on with."""
        resumes = (self.out / self.work.begun).is_file() if self.work.begun else any(self.out.iterdir())
        return Run(self.work.again if resumes else self.work.begin, self._log)

    def moment(self) -> float:
        """A moment of a run, in seconds from its start, from shortly before it first writes."""
        return self.rng.uniform(0.7 * self.first, self.whole)

    def finish(self, fault: str) -> None:
        """Go on to the end, and compare."""
        ended = self.start().end()
        try:
            found = self.work.result(self.out) if not ended.code else {}
        except Exception as error:
            found = {"result": repr(error)}
        differing = [name for name in {*self.wanted, *found} if found.get(name) != self.wanted.get(name)]
        differing += [path.name for path in Path(os.environ["ONESTROKE_CACHE"]).rglob("*.part")]
        if ended.code or differing or RAW.search(ended.said):
            self.complain(fault, f"resumed: exit code {ended.code}, differing {sorted(differing)[:5]}", ended)

    def complain(self, fault: str, what: str, ended: Ended) -> None:
        """Count and show a failure."""
        self.wrong[fault] += 1
        print(f"  {self.work.name}, {fault}: {what}; it said:\n    " + ended.said.strip()[-1500:].replace("\n", "\n    "))

    def expect(self, fault: str, ended: Ended, codes: tuple[int, ...], words: re.Pattern[str]) -> None:
        """Complain unless the command ended with one of the codes (or 0, done), saying those words, and nothing raw."""
        self.counts[fault] += ended.code != 0
        if RAW.search(ended.said) or (ended.code and (ended.code not in codes or not words.search(ended.said))):
            self.complain(fault, f"exit code {ended.code}", ended)


def kills(trials: Trials, count: int) -> None:
    """kill -9, one to three times before a run may end."""
    while trials.counts["kill -9"] < count:
        trials.clear()
        for _ in range(trials.rng.randint(1, 3)):
            run = trials.start()
            run.send(signal.SIGKILL, trials.moment())
            trials.counts["kill -9"] += run.end().code == -signal.SIGKILL
        trials.finish("kill -9")


def signals(trials: Trials, count: int) -> None:
    """Ctrl-C, and what a scheduler sends: the run saves, and says how to go on."""
    for number, fault in ((signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM")):
        while trials.counts[fault] < count:
            trials.clear()
            run = trials.start()
            run.send(number, trials.moment())
            trials.expect(fault, run.end(), (128 + number,), re.compile(f"{HINT.pattern}|interrupted"))
            trials.finish(fault)


def second_runs(trials: Trials, count: int) -> None:
    """A second run while the first one writes, which must be refused, or (single pictures) do no harm."""
    for _ in range(count):
        trials.clear()
        run = trials.start()
        while run.running and not any(path.name.endswith((".lock", ".part")) for path in trials.out.rglob("*")):
            time.sleep(0.001)
        other = Run(trials.work.again, trials._log.with_suffix(".second"))
        refused = other.end()
        trials.expect("two runs", refused, (2,), re.compile("another run is writing it|holds no run"))
        trials.counts["two runs"] += refused.code == 0  # single pictures need no lock
        run.end()
        trials.finish("two runs")


def full_disks(trials: Trials, count: int) -> None:
    """The disk runs full at a random moment, and later there is room again."""
    while trials.counts["full disk"] < count:
        with disk(trials.out) as mounted:
            if not mounted:
                return
            run = trials.start()
            run.send(0, trials.moment())
            fill(trials.out / "filler", run)
            trials.expect("full disk", run.end(), (1, 2), re.compile("No space left|disk is (nearly )?full"))
            (trials.out / "filler").unlink()
            trials.finish("full disk")


def read_only(trials: Trials, count: int) -> None:
    """A disk that is read-only from the beginning, and one that becomes so after a kill."""
    for begun in (False, True)[:count]:
        with disk(trials.out) as mounted:
            if not mounted:
                return
            if begun:
                run = trials.start()
                run.send(signal.SIGKILL, trials.moment())
                run.end()
            remount(trials.out, "ro")
            trials.expect("read-only", trials.start().end(), (1, 2), re.compile("Read-only file system|holds no run"))
            remount(trials.out, "rw")
            trials.finish("read-only")


FAULTS: dict[str, Callable[[Trials, int], None]] = {
    "kill -9": kills, "SIGINT, SIGTERM": signals, "full disk": full_disks, "read-only": read_only, "two runs": second_runs,
}  # fmt: skip


def main() -> None:
    """Parse, try every fault on every work, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5, metavar="N", help="kill -9 of each work")
    parser.add_argument("--others", type=int, default=-1, metavar="N", help="of the other faults; default: a fifth of kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", help="only this one: training, pairs, pictures, video")
    parser.add_argument("--fault", choices=sorted(FAULTS), help="only this one")
    flags = parser.parse_args()
    others = flags.others if flags.others >= 0 else -(-flags.kills // 5)
    rows: list[tuple[str, Counter[str], Counter[str]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["ONESTROKE_CACHE"] = f"{scratch}/cache"
        out = Path(scratch) / "out"
        out.mkdir()
        for work in works(Path(scratch) / "in", out):
            if flags.work in (None, work.name):
                rows.append(tried(Trials(work, out, random.Random(f"{flags.seed} {work.name}")), flags, others))
    names = dict.fromkeys(name for _, counts, _ in rows for name in counts)
    print("| work | " + " | ".join(names) + " |\n" + "|---" * (1 + len(names)) + "|")
    for work_name, counts, wrong in rows:
        print(f"| {work_name} | " + " | ".join(f"{counts[name]} ({wrong[name]})" for name in names) + " |")
    print("tried (of these, went wrong)")
    sys.exit(any(sum(wrong.values()) for _, _, wrong in rows))


def tried(trials: Trials, flags: Any, others: int) -> tuple[str, Counter[str], Counter[str]]:
    """A row of the table."""
    began = time.monotonic()
    for name, fault in FAULTS.items():
        if flags.fault in (None, name):
            fault(trials, flags.kills if name == "kill -9" else others)
    print(f"{trials.work.name}: {trials.whole:.1f} s a run, {time.monotonic() - began:.0f} s in all", flush=True)
    return trials.work.name, trials.counts, trials.wrong


if __name__ == "__main__":
    main()

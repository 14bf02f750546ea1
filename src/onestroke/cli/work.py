"""Jobs done, and told of on the terminal."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from onestroke.cli.progress import Lines
from onestroke.config.shard import Shard
from onestroke.interrupt import Interrupt
from onestroke.jobs.engine import Done, Engine
from onestroke.jobs.job import Job
from onestroke.jobs.settings import Settings

STOPPED = 130  # the least exit code that says: stopped from outside (interrupt.py)


def on_cluster(
    flags: argparse.Namespace, model: Path, jobs: list[Job], settings: Settings, shard: Shard, console: Console
) -> int:
    """Do the jobs on a Ray cluster, and list those that failed."""
    from onestroke.jobs.cluster import Cluster
    from onestroke.jobs.failures import write_failures

    code, failed = 0, list[Done]()
    if jobs:
        with Cluster(model, flags.device, flags.memory, flags.style, flags.address, flags.workers) as cluster:
            console.print(f"{model.stem} on {cluster.workers} workers", style="dim", markup=False)
            code, failed = work(cluster, jobs, settings, console)
    else:
        print("nothing left to do")
    if code >= STOPPED:
        return code
    name = write_failures(flags.out, shard, failed)
    if failed:
        console.print(f"{name}: the files that failed; run again to try these", style="yellow", markup=False)
    return 1 if failed else 0


def work(engine: Engine, jobs: list[Job], settings: Settings, console: Console) -> tuple[int, list[Done]]:
    """Do the jobs and tell of them; the exit code, and what failed."""
    failed, left, unfinished = list[Done](), len(jobs), False
    with Interrupt() as interrupt, Lines(console, len(jobs), lambda: interrupt.asked) as lines:
        for done in engine(jobs, settings, lines.frames):
            left -= 1
            unfinished = bool(done.report and done.report.stopped)
            if done.error or unfinished:
                failed.append(done)
            _tell(done, len(jobs), console)
            lines.file()
            if interrupt.asked:
                break
    if interrupt.asked and (left or unfinished):
        if left:
            console.print(f"stopped with {left} of {len(jobs)} files to go; add --resume to go on", markup=False)
        return interrupt.code, failed
    if len(jobs) > 1:
        folders = sorted({job.folder for job in jobs})
        print(f"{len(jobs) - len(failed)} of {len(jobs)} files in {folders[0]}" + (" and below" if len(folders) > 1 else ""))
    if not jobs:
        print("nothing left to do")
    if len(failed) == len(jobs) == 1:
        return 2, failed
    return (1 if failed else 0), failed


def _tell(done: Done, jobs: int, console: Console) -> None:
    """What happened to one file: results on standard output, the rest on standard error."""
    if done.error:
        console.print(f"skipped: {done.error}", style="red", markup=False)
        return
    target, report = done.job.target, done.report
    for note in done.notes:
        console.print(note, style="yellow", markup=False)
    if report:
        for note in report.notes:
            console.print(f"{target.name}: {note}", style="yellow", markup=False)
        if report.repeated:
            console.print(f"{target.name}: {report.repeated} broken frames show the one before", style="yellow", markup=False)
        scenes = f", {len(report.cuts)} scene cuts" if report.cuts else ""
        console.print(f"{target.name}: {report.frames} frames{scenes}", style="dim", markup=False)
        if report.stopped:
            more = "; --resume goes on" if report.resumable else "; --resume starts it over"
            console.print(f"{target.name}: {report.stopped} after {report.frames} frames{more}", style="red", markup=False)
    in_vain = done.job.target_url and report and report.stopped  # a store gets whole results
    if jobs == 1 and str(target) != "-" and not in_vain:
        print(done.job.writes)

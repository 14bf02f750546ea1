"""`onestroke train` and `onestroke pairs` on a Ray cluster: a task for each style image, or for each shard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onestroke.config import schema
from onestroke.config.devices import CPU, CUDA
from onestroke.config.training import TrainConfig, plain, read_settings
from onestroke.errors import ConfigError

if TYPE_CHECKING:
    from onestroke.jobs.commands import Command, Outcome
    from onestroke.jobs.connection import Division


def as_arguments(flags: Mapping[str, Any]) -> list[str]:
    """The arguments that parsed flags came from."""
    given = list[str]()
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        given += [flag, *map(str, value)] if isinstance(value, list) else [f"{flag}={value}"]
    return given


def train_each(flags: dict[str, Any], source: str | None, address: str) -> int:
    """Train one network for each style image, into a folder of its name; 1 if some could not be trained.

    flags: those of TrainConfig that were given, but that `workers` is how many train at a time. source: a YAML file.
    """
    from onestroke.jobs.commands import Command

    asked = _checked(flags.pop("workers", 0))
    given = (read_settings(source) if source else {}) | flags
    config = schema.merge(TrainConfig(), plain(given) | given, "settings")
    folder = Path(config.out or "runs")
    styles = _by_name(config)
    more = {name: value for name, value in flags.items() if name not in ("style_image", "out", "device")}

    def arguments(name: str, device: str) -> list[str]:
        own = more | {"out": folder / name, "device": device}
        if not (folder / name / "config.yaml").is_file():
            return [styles[name], *as_arguments(own | ({"config": source} if source else {}))]
        return [styles[name], *as_arguments(own), "--resume"]  # without the file: what it left open is settled

    def commands(division: Division) -> list[Command]:
        left = [name for name in styles if not _is_trained(folder / name)]
        return [Command(name, partial(arguments, name, _device(division))) for name in left]

    def tell(outcome: Outcome) -> list[str]:
        return [line for line in outcome.lines if not line.startswith("step ")]

    if all(_is_trained(folder / name) for name in styles):
        print("nothing left to do")
        return 0
    outcomes, code = _on_cluster("train", commands, folder, address, (config.device, asked, len(styles)), tell)
    print(f"{sum(_is_trained(folder / name) for name in styles)} of {len(styles)} networks in {folder}")
    return code or int(any(outcome.code for outcome in outcomes))


def _by_name(config: TrainConfig) -> dict[str, str]:
    """The style images by what their run folders are called. Raises ConfigError for settings that fit no such runs."""
    if not config.style_image:
        raise ConfigError("style_image: --engine ray trains a network for each style image; name some")
    if config.devices * config.nodes > 1:
        raise ConfigError("devices, nodes: --engine ray trains each network on one device; leave them out")
    found = dict[str, str]()
    for image in config.style_image:
        path = Path(image).absolute()
        same = next((other for name, other in found.items() if name.casefold() == path.stem.casefold()), None)
        if same:
            raise ConfigError(f"{image}: its run would be in the same folder as that of {same}; rename one of them")
        found[path.stem] = str(path)
    return found


def _is_trained(folder: Path) -> bool:
    """Whether a run was finished: its sample is the last that it writes."""
    return (folder / f"{folder.name}.onnx").is_file() and (folder / "sample.png").is_file()


def make_pairs(own: Mapping[str, Any], recipe: dict[str, Any], address: str, workers: int) -> int:
    """Make a folder of pairs, a shard on each worker; 1 if some photos had to be skipped.

    own: the flags of `onestroke pairs` that are about folders. recipe: the others that were given.
    """
    from onestroke.jobs.commands import Command
    from onestroke.optimization.gatys.tiles import LEAST_DEFAULT
    from onestroke.optimization.pairs import entries

    if own["shard"] != "1/1":
        raise ConfigError(f"shard: --engine ray makes all shards itself; leave out --shard {own['shard']}, or --engine ray")
    folder, count = Path(own["out"]), own["count"]
    before = len(entries(folder))
    paintings = [str(Path(path).absolute()) for path in own["paintings"]]
    flags = {name: value for name, value in own.items() if name != "paintings"} | recipe

    def commands(division: Division) -> list[Command]:
        bound = max(division.memory, LEAST_DEFAULT) if division.device == CPU else 0
        common = flags | {"device": _device(division), "memory": own["memory"] or bound}
        shards = min(division.workers, count or division.workers)
        found = []
        for index in range(shards):
            # Together the first `count` photos: of every so many, each shard takes one.
            part = common | {"shard": f"{index + 1}/{shards}", "count": -(-(count - index) // shards) if count else 0}
            arguments = [*paintings, *as_arguments(part)]
            found.append(Command(f"shard {part['shard']}", partial(list[str], arguments)))
        return found

    outcomes, code = _on_cluster("pairs", commands, folder, address, (own["device"], _checked(workers), 0), lambda o: o.lines)
    print(f"{len(entries(folder)) - before} pairs made, {len(entries(folder))} in {folder}")
    if {outcome.code for outcome in outcomes} == {2}:
        return 2
    return code or int(any(outcome.code for outcome in outcomes))


def _checked(workers: int) -> int:
    if workers < 0:
        raise ConfigError(f"workers: {workers} is no number of processes; use 1 or more")
    return workers


def _device(division: Division) -> str:
    return CPU if division.device == CPU else CUDA


def _on_cluster(
    verb: str, commands: Callable[[Division], Sequence[Command]], folder: Path, address: str, wish: tuple[str, int, int],
    tell: Callable[[Outcome], Sequence[str]],
) -> tuple[list[Outcome], int]:  # fmt: skip
    """Run the commands for a division of the cluster, and tell of each as it ends.

    wish: the device, how many workers, and the most that there may be, as for `divide`. tell: what to say of an outcome.
    Returns what ended, and 130 or 143 where it was stopped before all did, else 0.
    """
    from rich.console import Console

    from onestroke.cli.main import run
    from onestroke.cli.work import STOPPED
    from onestroke.interrupt import Interrupt
    from onestroke.jobs.commands import Outcome, run_commands
    from onestroke.jobs.connection import connected, divide

    console = Console(highlight=False, stderr=True, soft_wrap=True)
    device, asked, most = wish
    outcomes = list[Outcome]()
    with ExitStack() as stack:
        stack.enter_context(connected(address))
        division = divide(device, asked, most=most)
        asking = commands(division)
        console.print(f"{len(asking)} to do on {division.workers} workers, {division.device}", style="dim", markup=False)
        interrupt = stack.enter_context(Interrupt())  # after Ray, which takes SIGTERM for itself
        status = stack.enter_context(console.status(""))
        for outcome in run_commands(run, verb, asking, division, folder, lambda: interrupt.asked):
            known = outcome.code == 2 and any(outcome.lines == before.lines for before in outcomes)  # wrong for all of them
            outcomes.append(outcome)
            for line in [] if known else filter(None, tell(outcome)):
                style = "red" if outcome.code else "dim"
                console.print(f"{outcome.name}: {line.removeprefix(f'onestroke {verb}: ')}", style=style, markup=False)
            status.update(f"{len(outcomes)} of {len(asking)}")
    unfinished = len(outcomes) < len(asking) or any(outcome.code >= STOPPED for outcome in outcomes)
    if interrupt.asked and unfinished:
        console.print("stopped; run the same command again to go on", markup=False)
        return outcomes, interrupt.code
    return outcomes, 0

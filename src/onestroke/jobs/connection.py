"""A Ray cluster: connecting to it, how its cores and GPUs are shared out, and whether a worker is fit to begin."""

from __future__ import annotations

import logging
import math
import os
import platform
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from onestroke.config.devices import CPU
from onestroke.errors import ConfigError, because
from onestroke.files import passing
from onestroke.inference.tiling.executor import MB

# How many workers may die over a piece of work before it counts as failed.
TRIES = 3
_PATIENCE = 10  # seconds, for an address to answer


@contextmanager
def connected(address: str = "") -> Iterator[None]:
    """A block with a cluster: "auto" is the one that this machine belongs to, "" that of RAY_ADDRESS, or one of this machine
    alone that ends with the block. Raises ConfigError where no cluster answers."""
    ours = _connect(address)
    try:
        yield
    finally:
        if ours:
            import ray

            ray.shutdown()


def _connect(address: str) -> bool:
    """Connect to the cluster; whether this is to be ended. Raises ConfigError."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # `uv run` would send the working folder to every worker
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    known = address or os.environ.get("RAY_ADDRESS", "")
    import ray

    if ray.is_initialized():
        return False
    _check_address(known)
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 10**8}
    try:
        ray.init(known or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if known else own))
    except Exception as error:  # ConnectionError, RuntimeError, ValueError, ...
        where = known or "this machine"
        raise ConfigError(
            f"address: no Ray cluster at {where} lets us in ({reason(error)}); if it wants a token, set RAY_AUTH_MODE=token"
        ) from None
    return True


def _check_address(known: str) -> None:
    """Raise ConfigError where nothing answers at HOST:PORT, which Ray itself would try for minutes."""
    host, colon, port = known.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdecimal()):  # auto, or what Ray shall say that it does not know
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise ConfigError(f"address: nothing answers at {known} ({because(error)}); use that of the cluster's head") from None


def reason(error: Exception) -> str:
    """What Ray says, which may be pages, as part of a line."""
    return because(error)[:160]


@dataclass(frozen=True)
class Division:
    """How a cluster is shared out.

    workers: how many work at a time. device: what each computes on; CPU where Ray counts no GPU. share: how many share a
    machine's memory, or a GPU. resources: what Ray is asked for, for each. memory: megabytes that each may take of its
    machine's; 0 on GPUs.
    """

    workers: int
    device: str
    share: int
    resources: Mapping[str, float]
    memory: int = 0

    @property
    def threads(self) -> int:
        """For each worker, as many as it has cores."""
        return int(self.resources["num_cpus"])


def divide(device: str, asked: int = 0, *, most: int = 0) -> Division:
    """Share the cluster out to `asked` workers; 0: one a GPU, where there are any and `device` lets them be used, else one a
    core. Raises ConfigError for a GPU that the cluster does not count.

    most: for work that uses several threads: no more workers than that, which get all the cores between them; 0: each has one.
    """
    import ray

    nodes: Any = ray.nodes  # without types
    machines: list[dict[str, float]] = [node["Resources"] for node in nodes() if node["Alive"]]
    gpus = 0 if device == CPU else sum(_count(machine, "GPU") for machine in machines)
    workers = asked or gpus or sum(_count(machine, "CPU") for machine in machines) or 1
    workers = min(workers, most) if most else workers
    if gpus:
        share = math.ceil(workers / gpus)
        with_gpus = [machine for machine in machines if _count(machine, "GPU")]
        cores = min(_count(machine, "CPU") // (_count(machine, "GPU") * share) for machine in with_gpus) if most else 1
        return Division(workers, device, share, {"num_cpus": max(1, cores), "num_gpus": 1 / share})
    if device not in ("auto", CPU):
        raise ConfigError(f"device: the cluster counts no GPU for {device}; start Ray with --num-gpus, or use cpu")
    cores = _cores_each(machines, workers) if most else 1
    share = max(1, min(workers, max(_count(machine, "CPU") // cores for machine in machines)))
    memory = min((_count(machine, "memory") for machine in machines if _count(machine, "CPU") >= cores), default=0)
    return Division(workers, CPU, share, {"num_cpus": cores}, memory // share // 2 // MB)


def _count(machine: Mapping[str, float], name: str) -> int:
    return int(machine.get(name, 0))


def _cores_each(machines: Sequence[Mapping[str, float]], workers: int) -> int:
    """The most cores that each of so many workers may have at the same time; 1 where there are more workers than cores."""
    cores = [_count(machine, "CPU") for machine in machines]
    fitting = [each for each in range(1, max(cores) + 1) if sum(count // each for count in cores) >= workers]
    return max(fitting, default=1)


@contextmanager
def shared_file(folder: Path) -> Iterator[Path]:
    """A hidden file in a folder, by which a worker sees that the folder is the same one. A folder that was made for it, and
    is still empty after the block, goes with it. Raises ConfigError."""
    new = not folder.exists()
    with ExitStack() as stack:
        if new:
            stack.callback(_remove_empty, folder)
        try:
            file = stack.enter_context(passing(folder / "shared"))
            file.touch()
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be written ({because(error)})") from None
        yield file


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # not empty, or not there
        folder.rmdir()


def check_worker(wanted: str, shared: Path | None) -> None:
    """Raise ConfigError in a worker with another version of onestroke, or one that does not see the shared file."""
    if version("onestroke") != wanted:
        raise ConfigError(f"a worker has onestroke {version('onestroke')}, and this machine {wanted}; install the same")
    if shared and not shared.exists():  # or results would lie on whatever machine made them
        raise ConfigError(f"{shared.parent}: {platform.node()} does not see this folder; use one that all machines share")

"""A run in several processes, one a device: which of them this one is. Each runs the same command and learns from its share.

Lightning starts them on one machine; torchrun and SLURM start them on several.
"""

from __future__ import annotations


def rank(devices: int, nodes: int) -> int:
    """This process's number, from 0: the first alone writes, and reports."""
    if devices * nodes == 1:
        return 0
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    for environment in (TorchElasticEnvironment, SLURMEnvironment):
        if environment.detect():
            return environment().global_rank()
    alone = LightningEnvironment()
    return alone.node_rank() * devices + alone.local_rank()

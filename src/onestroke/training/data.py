"""Training batches: random crops in a fixed order, of photos or of (photo, target) pairs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from onestroke.arrays import center_crop, crop
from onestroke.training.photos import Photos

# Photos and what they should become, in the same order and sizes.
Pairs = tuple[Photos, Photos]


class Batches(IterableDataset[Tensor]):
    """An endless sequence of batches, each a pure function of (seed, step), so that a run resumes without replaying any.

    Photos: uint8 [B, size, size, 3]. For the first `pair_steps` steps pairs instead: [B, size, size, 6], the photo's
    channels and then the target's. Every epoch is one permutation of the photos, or of the pairs.
    """

    def __init__(
        self,
        photos: Photos,
        size: int,
        batch: int,
        seed: int,
        start: int = 0,
        pairs: Pairs | None = None,
        pair_steps: int | Tensor = 0,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """`share`: (k, n) makes the k-th (from 0) of n parts of every batch, for the k-th of n processes."""
        self.share = share
        self.photos, self.size, self.batch, self.seed, self.start = photos, size, batch, seed, start
        self.pairs, self.pair_steps = pairs, pair_steps

    def __iter__(self) -> Iterator[Tensor]:
        worker = torch.utils.data.get_worker_info()
        step, stride = (self.start + worker.id, worker.num_workers) if worker else (self.start, 1)
        while True:
            yield self.at(step)
            step += stride

    def at(self, step: int) -> Tensor:
        """The batch of one step: random square crops of random scale, half of them mirrored."""
        rng = np.random.default_rng((self.seed, 1, step))
        sources = self.pairs if self.pairs and step < int(self.pair_steps) else (self.photos,)
        count = self.batch // self.share[1]
        mine = range(self.share[0] * count, (self.share[0] + 1) * count)
        batch = np.empty((count, self.size, self.size, 3 * len(sources)), np.uint8)
        for i in range(mine.stop):
            epoch, place = divmod(step * self.batch + i, len(sources[0]))
            index = int(self._order(epoch, len(sources[0]))[place])
            height, width = sources[0][index].shape[:2]
            side = int(rng.integers(self.size, min(height, width) + 1))
            top, left = (int(rng.integers(extent - side + 1)) for extent in (height, width))
            turn = 1 if rng.random() < 0.5 else -1
            if i in mine:
                crops = [crop(source[index], top, left, side, self.size)[:, ::turn] for source in sources]
                batch[i - mine.start] = np.concatenate(crops, -1)
        return torch.from_numpy(batch)

    def _order(self, epoch: int, count: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, 2, epoch)).permutation(count)


def _outlive(worker: int) -> None:
    """Ctrl-C, and a scheduler's SIGTERM, reach the loading processes too, which the run needs until it has saved.

    SIGTERM ends them half a minute later: Python sends it to those that were left behind.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(30))


class PhotoModule(pl.LightningDataModule):
    """Training batches and held-out photos for Lightning.

    `start` is the step to begin at, set from the checkpoint by the run that resumes; pairs are drawn from until `pair_steps`.
    """

    def __init__(
        self, train: Photos, held_out: Photos, *, size: int, batch: int, seed: int, workers: int,
        pairs: Pairs | None = None, pair_steps: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.train, self.held_out, self.pairs = train, held_out, pairs
        # In shared memory: loading processes copy everything else, and a time budget settles it late (callbacks.Clock).
        self.pair_steps = torch.tensor(pair_steps).share_memory_()  # type: ignore[no-untyped-call]
        self.size, self.batch, self.seed, self.workers, self.start = size, batch, seed, workers, 0

    def batches(self) -> Batches:
        """Batches from `start` on, without end; in a run of several processes this one's share of them."""
        share = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return Batches(self.train, self.size, self.batch, self.seed, self.start, self.pairs, self.pair_steps, share)

    def train_dataloader(self) -> DataLoader[Tensor]:
        """The batches, loaded by `workers` processes."""
        return DataLoader(
            self.batches(), batch_size=None, num_workers=self.workers, pin_memory=self.workers > 0,
            worker_init_fn=_outlive,
        )  # fmt: skip

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """The central squares of the held-out photos, uint8 [B, size, size, 3] each."""
        crops = np.stack([center_crop(self.held_out[i], self.size) for i in range(len(self.held_out))])
        return DataLoader(TensorDataset(torch.from_numpy(crops)), batch_size=self.batch)

    def sample(self, count: int = 32) -> Tensor:
        """Central squares of up to `count` training photos, evenly spread, uint8 [N, size, size, 3]: for the losses' units."""
        which = np.linspace(0, len(self.train) - 1, min(count, len(self.train))).astype(int)
        return torch.from_numpy(np.stack([center_crop(self.train[int(i)], self.size) for i in which]))

import multiprocessing
import os
import pickle
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from onestroke.errors import DataError
from onestroke.images import read_image
from onestroke.training import data
from onestroke.training import photos as photos_of


def test_folders_are_searched_and_bad_files_listed(photos):
    loaded = photos_of.load_folder(photos, 32)
    assert len(loaded) == 8
    assert len(loaded.skipped) == 1 and "broken.jpg" in loaded.skipped[0]
    assert loaded[0].shape == (64, 64, 3)  # kept at twice the crop


def test_each_photo_is_decoded_once(photos, monkeypatch):
    first = photos_of.load_folder(photos, 40)
    monkeypatch.setattr(photos_of, "read_image", lambda path: pytest.fail("decoded again"))
    again = photos_of.load_folder(photos, 40)
    assert all(np.array_equal(first[i], again[i]) for i in range(8)) and again.skipped == first.skipped


def test_tiny_photos_are_skipped_and_said(photos):
    with pytest.raises(DataError, match="80x80 pixels, smaller than crops of 96"):
        photos_of.load_folder(photos, 96)


def test_folders_without_photos_are_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        photos_of.load_folder(tmp_path / "gone", 32)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="holds no photos"):
        photos_of.load_folder(tmp_path, 32)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_a_function_of_seed_and_step(photos, workers):
    loaded = photos_of.load_folder(photos, 32)
    whole = iter(DataLoader(data.Batches(loaded, 32, 3, seed=5), batch_size=None, num_workers=workers))
    batches = [next(whole) for _ in range(7)]
    resumed = next(iter(DataLoader(data.Batches(loaded, 32, 3, seed=5, start=4), batch_size=None, num_workers=workers)))
    assert torch.equal(batches[4], resumed)
    assert batches[0].shape == (3, 32, 32, 3) and batches[0].dtype == torch.uint8
    assert not torch.equal(batches[0], data.Batches(loaded, 32, 3, seed=6).at(0))


def test_processes_share_out_the_batch_that_one_would_see(photos):
    loaded = photos_of.load_folder(photos, 32)
    shares = [data.Batches(loaded, 32, 6, seed=5, share=(k, 3)).at(4) for k in range(3)]
    assert torch.equal(torch.cat(shares), data.Batches(loaded, 32, 6, seed=5).at(4))


def test_an_epoch_shows_every_photo_once():
    flat = [(str(i), lambda i=i: np.full((32, 32, 3), i, np.uint8)) for i in range(12)]
    batches = data.Batches(photos_of.load_sources(flat, 32), 32, 4, seed=0)
    seen = torch.cat([batches.at(step)[:, 0, 0, 0] for step in range(3)])
    assert sorted(seen.tolist()) == list(range(12))


def test_held_out_photos_are_never_trained_on(photos):
    loaded = photos_of.load_folder(photos, 32)
    train, held_out = photos_of.split(loaded, 4)
    assert len(held_out) == 1 and len(train) == 7  # at most a fifth
    assert not set(train.index) & set(held_out.index)


def test_one_photo_is_not_enough(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    with pytest.raises(DataError, match="not enough"):
        photos_of.split(photos_of.load_folder(tmp_path, 32), 4)


def test_the_cache_is_the_photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 48, 3)).astype(np.uint8)
    for i, array in enumerate(pixels):
        Image.fromarray(array).save(tmp_path / f"{i}.png")
    loaded = photos_of.load_folder(tmp_path, 32)
    assert np.array_equal(loaded[1], read_image(tmp_path / "1.png").rgb)


def test_of_runs_that_begin_at_once_one_decodes(photos, monkeypatch):
    decode, decoded = photos_of._decode, []

    def slow(*given):
        decoded.append(given)
        time.sleep(0.5)  # long enough for the other to look into the cache
        return decode(*given)

    monkeypatch.setattr(photos_of, "_decode", slow)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda size: photos_of.load_folder(photos, size), (36, 36))
    assert len(decoded) == 1 and len(one) == len(other) == 8
    assert not list(photos_of.photo_folder().glob(".*"))


def test_an_unwritable_cache_is_named(photos, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ONESTROKE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="set ONESTROKE_CACHE"):
        photos_of.load_folder(photos, 32)


def test_a_dangling_link_is_no_photo(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match="holds no photos"):
        photos_of.load_folder(tmp_path, 32)


def test_loading_processes_get_the_cache_by_name(photos):
    loaded = photos_of.load_folder(photos, 32)
    sent = pickle.dumps(loaded)
    assert len(sent) < loaded.pixels.size / 10
    assert np.array_equal(pickle.loads(sent)[3], loaded[3])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_loading_processes_outlive_what_stops_the_run(number, photos):
    loaded = photos_of.load_folder(photos, 32)
    module = data.PhotoModule(loaded, loaded, size=32, batch=2, seed=0, workers=1)
    batches = iter(module.train_dataloader())
    next(batches)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, number)
    for step in range(1, 6):
        assert torch.equal(next(batches), module.batches().at(step))

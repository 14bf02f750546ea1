"""Folders of pairs: killed, sharded, resumed, and trained from."""

import csv
import json
import shutil
import signal

import numpy as np
import pytest
import torch
from forks import Command
from PIL import Image

from onestroke.cli.main import run as cli
from onestroke.errors import ConfigError
from onestroke.images import read_image
from onestroke.inference.stylizer import Stylizer
from onestroke.optimization.pairs import Shard, entries, read_pairs
from onestroke.samples import scenes
from onestroke.training.checkpoint import load_checkpoint

RECIPE = ["--style-layers", "relu1_1", "relu2_1", "--content-layers", "relu2_1", "--size", "40", "--smallest", "32",
          "--steps", "8", "--device", "cpu"]  # fmt: skip


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    folder = tmp_path_factory.mktemp("content")
    for i in range(6):
        Image.fromarray(scenes.draw(i, 48)).save(folder / f"{i}.png")
    return folder


def make(content, painting, out, *more):
    return cli("pairs", [str(painting), "--content", str(content), "-o", str(out), *RECIPE, *more])


@pytest.fixture(scope="module")
def finished(content, painting, tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs") / "whole"
    assert make(content, painting, out) == 0
    return out


def test_a_folder_holds_photos_targets_and_what_made_them(finished, content):
    found = entries(finished)
    assert len(found) == len(read_pairs(finished)) == 6
    assert {entry["photo"] for entry in found} == {f"{i}.png" for i in range(6)}
    for entry, (photo, target) in zip(sorted(found, key=lambda e: e["name"]), read_pairs(finished), strict=True):
        assert set(entry["terms"]) == {"style", "content", "tv", "total"} and entry["seconds"] > 0
        before, after = read_image(photo).rgb, read_image(target).rgb
        assert before.shape == after.shape == (40, 40, 3) and not np.array_equal(before, after)
    assert "relu2_1" in (finished / "settings.yaml").read_text()


def written(folder, name):
    return (folder / "targets" / f"{name}.png").stat().st_mtime_ns


def test_a_kill_at_any_moment_neither_loses_nor_repeats_a_pair(finished, content, painting, tmp_path):
    out = tmp_path / "killed"
    command = Command(tmp_path / "killed.log", "pairs", painting, "--content", content, "-o", out, *RECIPE)
    command.wait_for(lambda: out.exists() and entries(out))
    command.send(signal.SIGKILL)
    command.end()
    with (out / "manifest-1-of-1.jsonl").open("a") as file:
        file.write('{"name": "0000')  # what a kill in the middle of a line leaves
    kept = {entry["name"]: written(out, entry["name"]) for entry in entries(out)}
    assert kept
    assert make(content, painting, out) == 0
    names = [entry["name"] for entry in entries(out)]
    assert len(names) == len(set(names)) == 6
    for name, stamp in kept.items():
        assert written(out, name) == stamp
    for (_, target), (_, wanted) in zip(read_pairs(out), read_pairs(finished), strict=True):
        assert np.array_equal(read_image(target).rgb, read_image(wanted).rgb)


def test_shards_make_every_pair_once(finished, content, painting, tmp_path):
    out = tmp_path / "sharded"
    for part in ("2/4", "1/4", "4/4", "3/4"):
        assert make(content, painting, out, "--shard", part) == 0
    assert [p[0].name for p in read_pairs(out)] == [p[0].name for p in read_pairs(finished)]
    assert len(list(out.glob("manifest-*-of-4.jsonl"))) == 4
    assert make(content, painting, out) == 0  # nothing is left for a run with other shards
    assert len(entries(out)) == 6


def test_a_batch_is_its_pairs_one_by_one(content, painting, tmp_path):
    for batch in ("1", "4"):
        assert make(content, painting, tmp_path / batch, "--optimizer", "adam", "--rate", "0.02", "--batch", batch) == 0
    for (_, one), (_, many) in zip(read_pairs(tmp_path / "1"), read_pairs(tmp_path / "4"), strict=True):
        assert np.abs(read_image(one).rgb.astype(int) - read_image(many).rgb).max() <= 2


def test_a_new_photo_adds_one_pair_and_changes_no_name(content, painting, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "photos" / "pairs"
    shutil.copytree(content, photos)
    assert make(photos, painting, out, "--count", "2") == 0
    first = {entry["name"] for entry in entries(out)}
    Image.fromarray(scenes.draw(9, 48)).save(photos / "-first.png")
    assert make(photos, painting, out) == 0  # what lies in the folder of pairs is no content
    assert len(first) == 2 and first < {entry["name"] for entry in entries(out)} and len(entries(out)) == 7


def test_luminance_pairs_learn_from_the_paintings_light(content, painting, tmp_path):
    assert make(content, painting, tmp_path / "out", "--colors", "luminance", "--count", "1", "--content-weight", "0") == 0
    photo, target = (read_image(path).rgb.astype(float) for path in read_pairs(tmp_path / "out")[0])
    assert abs(target.mean() - photo.mean()) < 30  # a painting fitted to black would draw it down


def test_a_folder_of_other_settings_is_refused(finished, content, painting, capsys):
    assert make(content, painting, finished, "--content-weight", "0.5") == 2
    assert "holds pairs made with another recipe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--shard", "5/4"], 2, "shard: '5/4' is no part i/n"),
        (["--batch", "2"], 2, "optimizer: lbfgs takes one picture at a time; use adam"),
        (["--batch", "0"], 2, "batch: 0 is too small"),
        (["--size", "64"], 1, "48x48 pixels, smaller than pairs of 64"),
    ],
)
def test_bad_input_is_named(more, code, message, content, painting, tmp_path, capsys):
    assert make(content, painting, tmp_path / "out", *more) == code
    assert message in capsys.readouterr().err
    assert code == 1 or not (tmp_path / "out").exists()


def test_shards_are_written_as_one_of_n():
    assert Shard.parse("2/3") == Shard(1, 3)
    for wrong in ("0/3", "4/3", "1", "a/b", "1/0"):
        with pytest.raises(ConfigError):
            Shard.parse(wrong)


def training(finished, content, painting, out, *more):
    return [str(painting), "--content", str(content), "--out", str(out), "--size", "32", "--batch", "2", "--style-size", "48",
            "--style-layers", "relu1_1", "relu2_1", "--content-layers", "relu2_1", "--device", "cpu", "--val-every", "10",
            "--steps", "20", "--save-every", "5", "--pairs", str(finished), *more]  # fmt: skip


def train(*arguments):
    return cli("train", training(*arguments))


def rows(out):
    with (out / "metrics.csv").open() as file:
        return {(row["part"], int(row["step"])): row for row in csv.DictReader(file)}


@pytest.mark.usefixtures("unexported")
def test_training_goes_from_pairs_to_perceptual_losses(finished, content, painting, tmp_path):
    assert train(finished, content, painting, tmp_path / "both", "--supervision", "both", "--pair-share", "0.5") == 0
    found = rows(tmp_path / "both")
    first, last = found["train", 10], found["train", 20]
    assert first["pixel"] and first["feature"] and not first["style"]
    assert last["style"] and last["content"] and not last["pixel"]
    assert found["val", 20]["style"] and not found["val", 20]["pixel"]
    assert not any("vgg" in name for name in load_checkpoint(tmp_path / "both" / "last.ckpt")["state_dict"])


@pytest.mark.slow
def test_pairs_alone_teach(finished, content, painting, tmp_path):
    out = tmp_path / "alone"
    learning = ("--steps", "60", "--rate", "5e-3", "--initialize-from", "none")
    assert train(finished, content, painting, out, "--supervision", "pairs", *learning) == 0
    found = rows(out)
    assert all(row["pixel"] for (part, _), row in found.items() if part == "train")
    assert float(found["train", 60]["total"]) < 0.8 * float(found["train", 10]["total"])
    style = Stylizer(out / "stripes.onnx", "cpu")
    photo = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    half = (photo + style(photo).astype(float)) / 2
    assert style.card.strongest == 1 and np.abs(style(photo, 0.5) - half).max() <= 1  # pairs teach one strength


@pytest.mark.usefixtures("unexported")
def test_a_run_that_was_stopped_among_pairs_resumes_to_the_same_weights(finished, content, painting, tmp_path):
    both = ["--supervision", "both", "--pair-share", "0.5"]
    assert train(finished, content, painting, tmp_path / "whole", *both) == 0
    ends = (
        "from onestroke.training import callbacks\n"
        "class Kill(callbacks.Checkpoint):\n"
        "    def on_train_batch_end(self, trainer, *a):\n"
        "        super().on_train_batch_end(trainer, *a)\n"
        "        if trainer.global_step == 8: import os; os._exit(9)\n"
        "callbacks.Checkpoint = Kill"
    )
    arguments = training(finished, content, painting, tmp_path / "cut", *both)
    assert Command(tmp_path / "cut.log", "train", *arguments, before=ends).end() == 9
    assert load_checkpoint(tmp_path / "cut" / "last.ckpt")["global_step"] == 5
    assert cli("train", ["--out", str(tmp_path / "cut"), "--resume"]) == 0
    whole, cut = (load_checkpoint(tmp_path / name / "last.ckpt")["state_dict"] for name in ("whole", "cut"))
    assert all(torch.equal(cut[name], tensor) for name, tensor in whole.items())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--supervision", "pairs", "--pairs", ""], "supervision: pairs needs --pairs FOLDER"),
        (["--supervision", "pairs", "--pairs", "CONTENT"], "no folder of pairs; make one with `onestroke pairs`"),
        (["--supervision", "both", "--size", "44"], "its pairs are smaller than 44 pixels"),
    ],
)
def test_training_without_fitting_pairs_is_one_line(more, message, finished, content, painting, tmp_path, capsys):
    more = [str(content) if m == "CONTENT" else m for m in more]
    assert train(finished, content, painting, tmp_path / "out", *more) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_manifest_is_one_json_object_a_line(finished):
    lines = (finished / "manifest-1-of-1.jsonl").read_text().splitlines()
    assert len(lines) == 6 and all(isinstance(json.loads(line), dict) for line in lines)

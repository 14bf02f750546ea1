"""Whole runs through the command that users type, on small pictures and VGG16."""

import signal

import numpy as np
import pytest
import torch
from forks import Command
from PIL import Image

from onestroke.cli import gatys as command
from onestroke.cli.main import run as cli
from onestroke.errors import ConfigError, ImageError
from onestroke.images import read_image
from onestroke.optimization.gatys import colors, presets
from onestroke.optimization.gatys import synthesis as gatys
from onestroke.optimization.gatys.materials import Painting, recolored, sizes
from onestroke.optimization.gatys.presets import recipe
from onestroke.optimization.gatys.synthesis import Gatys
from onestroke.optimization.gatys.tiles import tile_side
from onestroke.samples import scenes

SHALLOW = ["--vgg", "vgg16", "--style-layers", "relu1_1", "relu2_1", "--content-layers", "relu2_2", "--device", "cpu"]
SMALL = [*SHALLOW, "--size", "48", "--smallest", "32", "--steps", "4"]


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(scenes.draw(3, 72)[:56]).save(path)
    return path


def shallow(**changes):
    return recipe(**{"vgg": "vgg16", "style_layers": {"relu1_1": 1.0, "relu2_1": 1.0}, "content_layers": {"relu2_2": 1.0},
                     "size": 48, "smallest": 32, "steps": [6, 8], **changes})  # fmt: skip


def begun(photo, painting, chosen=None, **more):
    art = Painting("stripes.png", read_image(painting).rgb)
    return Gatys(chosen or shallow(), read_image(photo).rgb[None], [art], device=torch.device("cpu"), **more)


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_every_preset_runs_and_lowers_its_objective(preset, photo, painting, tmp_path, capsys):
    chosen = recipe(preset, vgg="vgg16", size=40, side="longer", steps=[16], smallest=40)
    work = begun(photo, painting, chosen)
    before = float(work._objective()(work.start)[0]["total"])
    assert work.run()
    assert work.optimizer.lowest < before
    assert work.pictures.shape == (1, round(40 * 56 / 72), 40, 3)


def test_the_command_writes_one_picture_and_no_state(photo, painting, tmp_path, capsys):
    out = tmp_path / "painted.jpg"
    assert cli("gatys", [str(photo), str(painting), "-o", str(out), *SMALL]) == 0
    assert read_image(out).rgb.shape == (37, 48, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["painted.jpg"]
    printed = capsys.readouterr()
    assert str(out) in printed.out and "peak memory" in printed.err and "scale 2/2 48x37 step 4/4" in printed.err
    assert cli("gatys", [str(photo), str(painting), "-o", str(out), *SMALL]) == 2
    assert "exists already" in capsys.readouterr().err


def test_scales_grow_by_the_root_of_two_up_to_the_size():
    assert presets.scales(recipe("quality"), 512) == [128, 181, 256, 362, 512]
    assert presets.scales(recipe("fast"), 512) == [128, 256, 512]
    assert presets.scales(recipe("gatys-pytorch"), 800) == [512, 800]
    assert presets.scales(recipe("neural-style"), 512) == [512]
    assert sizes(recipe("keras", vgg="vgg16"), 600, 900) == [(400, 600)]
    assert sizes(recipe("quality"), 100, 200) == [(70, 141), (100, 200)]  # never enlarged


def test_a_killed_run_resumes_to_the_same_picture(photo, painting, tmp_path):
    whole = begun(photo, painting)
    assert whole.run()
    for stop in ((0, 3), (1, 5)):  # within a scale, and after Adam's memory was enlarged
        first = begun(photo, painting)
        assert not first.run(lambda progress, stop=stop: (progress.scale, progress.step.step) == stop)
        first.save(tmp_path / "state")
        second = begun(photo, painting)
        second.load(tmp_path / "state")
        assert second.run()
        assert np.array_equal(second.pictures, whole.pictures)
        assert torch.equal(second.optimizer.pixels, whole.optimizer.pixels)


def test_a_resumed_run_keeps_its_memory_and_so_its_tiles(photo, painting, tmp_path, monkeypatch):
    first = begun(photo, painting)
    first.run(lambda progress: progress.step.step == 2)
    first.save(tmp_path / "state")
    monkeypatch.setattr(gatys, "free_memory", lambda device: 12_345)
    second = begun(photo, painting)
    second.load(tmp_path / "state")
    assert second.memory == first.memory != 12_345


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_stops_it_keeps_the_picture_and_the_state(number, code, photo, painting, tmp_path):
    out, state = tmp_path / "p.png", tmp_path / "p.png.resume"
    arguments = ["gatys", str(photo), str(painting), "-o", str(out), *SMALL, "--steps", "2000"]
    process = Command(tmp_path / "stopped.log", *arguments)
    process.wait_for(lambda: "step 50/" in process.said)
    process.send(number)
    assert process.end() == code and "--resume" in process.said
    assert read_image(out).rgb.shape == (37, 48, 3) and state.is_file()
    assert cli("gatys", [*arguments[1:-1], "60", "--resume"]) == 0
    assert not state.exists()


def test_a_state_of_other_settings_is_refused(photo, painting, tmp_path):
    first = begun(photo, painting)
    first.run(lambda progress: progress.step.step == 2)
    first.save(tmp_path / "state")
    with pytest.raises(ConfigError, match="belongs to other pictures or settings"):
        begun(photo, painting, shallow(content_weight=0.9)).load(tmp_path / "state")
    (tmp_path / "state").write_bytes(b"not a state")
    with pytest.raises(ConfigError, match="no state to resume from"):
        begun(photo, painting).load(tmp_path / "state")


def test_a_full_disk_loses_nothing(photo, painting, tmp_path, capsys, monkeypatch):
    def full(path, *args, **kwargs):
        raise ImageError(f"{path}: cannot be written (No space left on device)")

    arguments = [str(photo), str(painting), "-o", str(tmp_path / "p.png"), *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(command, "save_image", full)
        assert cli("gatys", arguments) == 2
    assert "No space left" in (error := capsys.readouterr().err) and "--resume" in error
    assert cli("gatys", [*arguments, "--resume"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--preset", "best"], "preset: unknown name 'best'; choose from quality, fast"),
        (["--content-layers", "relu9_1"], "layer 'relu9_1': vgg16 has relu1_1"),
        (["--vgg-weights", "PHOTO"], "photo.png"),
        (["--blend", "1", "2"], "blend: got 2 weights for 1 paintings"),
        (["--blend", "nan"], "give one each, none negative, not all zero"),
        (["--ema", "1"], "ema: 1.0 is too large"),
        (["--scale-factor", "1.001"], "scale_factor: 1.001 makes too many scales"),
        (["--optimizer", "sgd"], "optimizer: sgd has no usual rate"),
        (["--style-statistic", "wasserstein", "--style-form", "mse"], "wasserstein needs --style-form relative"),
        (
            ["--size", "1"],
            "the photo, at 1x1 pixels, is too small for relu2_1, which needs 2; use a larger photo or --size",
        ),
        (["--memory", "150"], "memory: 150 MB are too few for 48x37 pixels with vgg16"),
        (["--regions", "PHOTO"], "give --regions and one --style-regions a painting"),
        (["--regions", "PHOTO", "--style-regions", "PHOTO"], "its picture 96x64; make them the same size"),
        (["-o", "PHOTO", "--overwrite"], "is one of the inputs"),
        (["-o", "x.xyz"], "cannot write .xyz"),
        (["--resume"], "no state to resume from"),
    ],
)
def test_bad_input_is_one_line(more, message, photo, painting, tmp_path, capsys):
    more = [str(photo) if m == "PHOTO" else m for m in more]
    before = photo.read_bytes()
    arguments = [str(photo), str(painting), "-o", str(tmp_path / "p.png"), *SMALL, *more]
    assert cli("gatys", arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [] and photo.read_bytes() == before


@pytest.mark.parametrize(("width", "height"), [(1, 1), (12000, 40)])
def test_pictures_too_thin_are_named(width, height, painting, tmp_path, capsys):
    Image.new("RGB", (width, height), "red").save(tmp_path / "thin.png")
    assert cli("gatys", [str(tmp_path / "thin.png"), str(painting), "--vgg", "vgg16", "--size", "256"]) == 2
    error = capsys.readouterr().err
    assert "is too small for relu5_1, which needs 16" in error and error.count("\n") == 1


def test_a_long_thin_picture_can_be_painted(painting, tmp_path):
    Image.fromarray(scenes.draw(0, 400)[:20]).save(tmp_path / "thin.png")
    assert cli("gatys", [str(tmp_path / "thin.png"), str(painting), "-o", str(tmp_path / "p.png"), *SHALLOW,
                         "--size", "400", "--steps", "2"]) == 0  # fmt: skip
    assert read_image(tmp_path / "p.png").rgb.shape == (20, 400, 3)


def test_regions_take_their_style_from_their_part(photo, tmp_path):
    """Left red, right blue: with maps swapped, the sides change places."""
    art = np.zeros((64, 64, 3), np.uint8)
    art[:, :32, 0], art[:, 32:, 2] = 255, 255
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:, 32:] = 255
    gray = np.full((56, 72, 3), 128, np.uint8)
    gray += np.random.default_rng(0).integers(0, 20, gray.shape, dtype=np.uint8)
    wanted = np.zeros_like(gray)
    wanted[:, 36:] = 255
    for photo_map, red_side in ((wanted, 0), (255 - wanted, 1)):
        chosen = shallow(content_weight=0.0, steps=[80], smallest=48, rate=0.05)
        work = Gatys(chosen, gray[None], [Painting("art", art, regions=halves)], region_map=photo_map)
        work.run()
        sides = np.split(work.pictures[0].astype(float), 2, axis=1)
        redness = [side[..., 0].mean() - side[..., 2].mean() for side in sides]
        assert redness[red_side] > 60 and redness[1 - red_side] < -60


def test_a_region_that_no_painting_has_is_named(photo, painting):
    rgb = read_image(painting).rgb
    photo_map = np.zeros((56, 72, 3), np.uint8)
    photo_map[:10] = (255, 128, 0)
    art = Painting("art", rgb, regions=np.zeros_like(rgb))
    with pytest.raises(ConfigError, match=r"region #ff8000 is in no painting's map; they have #000000"):
        Gatys(shallow(), read_image(photo).rgb[None], [art], region_map=photo_map)
    smooth = read_image(photo).rgb
    with pytest.raises(ConfigError, match="a region map has one flat color a region"):
        Gatys(shallow(), smooth[None], [art], region_map=smooth)


def test_transparent_parts_of_a_painting_do_not_count(photo):
    art = np.zeros((64, 64, 3), np.uint8)
    art[:, :32], art[:, 32:] = (255, 0, 0), (0, 0, 255)
    alpha = np.zeros((64, 64), np.uint8)
    alpha[:, 34:] = 255  # the blue half, without the positions of relu1_1 that see red
    blue = np.zeros_like(art)
    blue[..., 2] = 255
    grams = []
    for painting in (Painting("half", art, alpha), Painting("blue", blue), Painting("all", art)):
        work = Gatys(shallow(), read_image(photo).rgb[None], [painting])
        grams.append(work._measure(64, 64).moments["relu1_1"][0].gram)
    half, blue_gram, everything = grams
    assert (half - blue_gram).norm() < 0.1 * (everything - blue_gram).norm()  # the margins of the picture differ a little
    with pytest.raises(ConfigError, match="transparent everywhere"):
        Gatys(shallow(), read_image(photo).rgb[None], [Painting("none", art, np.zeros((64, 64), np.uint8))])


def test_a_blend_is_the_weighted_mean_of_the_statistics(photo, painting):
    rgb, other = read_image(painting).rgb, scenes.draw(5, 64)
    pictures = read_image(photo).rgb[None]
    both = [Painting("a", rgb, share=3.0), Painting("b", other, share=1.0)]
    works = [Gatys(shallow(), pictures, arts) for arts in ([Painting("a", rgb)], [Painting("b", other)], both)]
    targets = [work._measure(48, 48).moments["relu2_1"][0].gram for work in works]
    assert torch.allclose(targets[2], 0.75 * targets[0] + 0.25 * targets[1], rtol=1e-4)


def test_luminance_keeps_the_photos_chroma(photo, painting):
    work = begun(photo, painting, shallow(colors="luminance", size=72, steps=[10]))
    work.run()
    pictures = read_image(photo).rgb, work.pictures[0]
    before, after = (np.asarray(Image.fromarray(p).convert("YCbCr"), float) for p in pictures)
    inside = (before[..., 0] > 60) & (before[..., 0] < 190) & (after[..., 0] > 60) & (after[..., 0] < 190)  # in gamut
    assert np.abs(before - after)[inside][:, 1:].mean() < 2
    assert np.abs(before - after)[..., 0].mean() > 4


def test_matched_colors_have_the_photos_mean_and_covariance():
    rng = np.random.default_rng(0)
    mix = np.array([[20.0, 5, 0], [0, 12, 6], [3, 0, 15]])
    photo = np.clip(rng.normal(size=(60, 50, 3)) @ mix + 120, 0, 255).astype(np.uint8)
    painting = np.clip(rng.normal(size=(40, 70, 3)) @ mix[::-1] + 100, 0, 255).astype(np.uint8)
    found = colors.matched(painting, photo).reshape(-1, 3).astype(float)
    wanted = photo.reshape(-1, 3).astype(float)
    assert np.abs(found.mean(0) - wanted.mean(0)).max() < 1
    assert np.abs(np.cov(found.T) - np.cov(wanted.T)).max() < 0.05 * np.cov(wanted.T).max()


def test_another_optimizer_brings_its_usual_rate():
    assert (recipe("fast", optimizer="adam").rate, recipe("gatys-pytorch", optimizer="adam").rate) == (0.02, 0.02 * 255)
    assert recipe("quality", optimizer="lbfgs").rate == 1.0 and recipe("quality", optimizer="lbfgs").ema == 0.0
    assert recipe("keras", optimizer="adam", rate=3.0).rate == 3.0


def test_hidden_pixels_of_a_painting_do_not_change_its_recolored_ones(photo, painting):
    rgb, target = np.array(read_image(painting).rgb), read_image(photo).rgb
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    alpha[:20] = 0
    results = []
    for hidden in (0, 255):
        rgb[:20] = hidden
        results.append(recolored(Painting("p", rgb, alpha), target, "match").rgb[20:])
    assert np.array_equal(*results)


def test_an_output_in_a_new_folder_can_be_resumed(photo, painting, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "SAVE_EVERY", 0.0)
    saved = []
    monkeypatch.setattr(Gatys, "save", lambda self, path, save=Gatys.save: (save(self, path), saved.append(path.is_file())))
    assert cli("gatys", [str(photo), str(painting), "-o", str(tmp_path / "new" / "p.png"), *SMALL]) == 0
    assert saved and all(saved) and [p.name for p in (tmp_path / "new").iterdir()] == ["p.png"]


def test_noise_is_a_function_of_the_seed(photo, painting):
    starts = [begun(photo, painting, shallow(start="noise", noise=0.5, seed=seed)).start for seed in (1, 1, 2)]
    assert torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])
    mixed = begun(photo, painting, shallow(start="noise", noise=0.0, noise_share=0.4)).start
    plain = begun(photo, painting).start
    assert torch.allclose(mixed - mixed.mean((2, 3), keepdim=True), 0.6 * (plain - plain.mean((2, 3), keepdim=True)), atol=1e-5)


def test_less_memory_means_smaller_tiles_of_the_same_picture(photo, painting):
    layers = ["relu1_1", "relu2_2"]
    sides = [tile_side(2000, 3000, memory, "vgg16", layers) for memory in (40_000, 2000, 1200)]
    assert sides[0] == 0 and sides[1] > sides[2] > 0
    assert tile_side(2000, 3000, 2000, "vgg19", ["relu5_1"]) % 16 == 0
    with pytest.raises(ConfigError, match="memory: 2000 MB are too few for 9000x9000 pixels"):
        tile_side(9000, 9000, 2000, "vgg16", layers, state=108)

import typing
from dataclasses import asdict, fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onestroke.config.schema import LARGEST, check, merge, read_yaml, write_yaml
from onestroke.config.training import QUICK, TrainConfig, load
from onestroke.errors import ConfigError
from onestroke.optimization.gatys.presets import Recipe, recipe


def test_default_yaml_is_what_the_program_does_by_itself():
    assert read_yaml("configs/default.yaml") == asdict(TrainConfig())


def test_quick_yaml_is_what_a_cpu_gets_by_itself():
    assert read_yaml("configs/quick.yaml") == QUICK


def test_pairs_yaml_holds_settings_that_exist():
    assert merge(TrainConfig(), read_yaml("configs/pairs.yaml"), "pairs.yaml").supervision == "both"


def test_weights_by_name_come_as_flags_or_as_a_mapping():
    for weights in (["relu1_1", "relu2_1=0.5"], {"relu1_1": 1, "relu2_1": "5e-1"}):
        assert recipe("quality", style_layers=weights).style_layers == {"relu1_1": 1.0, "relu2_1": 0.5}
    with pytest.raises(ConfigError, match=r"style_layers: relu1_1: expected a number, got 'much'"):
        recipe("quality", style_layers=["relu1_1=much"])


def test_a_typo_gets_the_nearest_name():
    with pytest.raises(ConfigError, match=r"my\.yaml: unknown key 'batchs'; did you mean 'batch'"):
        merge(TrainConfig(), {"batchs": 4}, "my.yaml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": 0}, "batch: 0 is too small; use 1 or more"),
        ({"batch": "four"}, "batch: expected a whole number, got 'four'"),
        ({"batch": True}, "batch: expected a whole number"),
        ({"rate": "fast"}, "rate: expected a number"),
        ({"rate": float("nan")}, "rate: nan is too small"),
        ({"vgg": "vgg11"}, "vgg: unknown value 'vgg11'; choose from vgg16, vgg19"),
        ({"style_layers": 7}, "style_layers: expected a list"),
        ({"style_layers": []}, "style_layers: expected a list"),
        ({"scales": [{"reduction": 0}]}, "reduction: 0 is too small"),
        ({"scales": [{"widow": 64}]}, "scales: unknown key 'widow'; did you mean 'window'"),
        ({"scales": [{"content": {"relu2_1": "much"}}]}, "content: relu2_1: expected a number"),
        ({"scales": ["relu1_1"]}, "scales: expected `key: value` lines"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        merge(TrainConfig(), values, "flags")


def test_settings_of_version_0_1_mean_what_they_meant():
    """They named layers and no scales: whole pictures at one size, the painting as it is."""
    config = load("configs/johnson_2016.yaml")
    assert config.scales == [] and (config.style_levels, config.content_weight, config.tv_weight) == ("none", 0.25, 0.05)


def test_yaml_numbers_in_any_notation(tmp_path):
    (tmp_path / "a.yaml").write_text("rate: 1e-3\nstyle_weight: 2\n")
    config = merge(TrainConfig(), read_yaml(tmp_path / "a.yaml"), "a.yaml")
    assert (config.rate, config.style_weight) == (0.001, 2.0)


def test_a_saved_config_reads_back_the_same(tmp_path):
    config = check(TrainConfig(style_image=["ü.jpg"], steps=7))
    write_yaml(config, tmp_path / "c.yaml")
    assert merge(TrainConfig(), read_yaml(tmp_path / "c.yaml"), "c.yaml") == config


@pytest.mark.parametrize(
    ("content", "message"), [(b"a: [1", "not valid YAML"), (b"- 1\n", "expected `key: value`"), (b"\xff\xfe\x00", "not a text")]
)
def test_broken_yaml_is_one_line(tmp_path, content, message):
    (tmp_path / "b.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(tmp_path / "b.yaml")
    assert "\n" not in str(caught.value)


def test_a_title_may_look_like_a_date(tmp_path):
    (tmp_path / "c.yaml").write_text("title: 1889-06-01\nlicense: 1889-13-45\n")
    assert load(tmp_path / "c.yaml").title == "1889-06-01"
    assert load(tmp_path / "c.yaml").license == "1889-13-45"


def test_aliases_may_be_used_as_people_use_them(tmp_path):
    (tmp_path / "c.yaml").write_text("a: &a [relu1_1, relu2_1]\nb: *a\nc: *a\n")
    assert read_yaml(tmp_path / "c.yaml")["c"] == ["relu1_1", "relu2_1"]


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def values_of(hint, about):
    """Whatever a field of a configuration may hold."""
    if about["choices"]:
        return st.sampled_from(about["choices"])
    few, least, most = 0 if about["empty"] else 1, about["least"], about["most"] or LARGEST
    if hint in (int, float):
        least = -LARGEST if least is None else least
        return st.integers(int(least), int(most)) if hint is int else st.floats(least, most)
    if typing.get_origin(hint) is dict:
        return st.dictionaries(TEXT, values_of(float, about), min_size=few, max_size=3)
    if typing.get_origin(hint) is list:
        inner = typing.get_args(hint)[0]
        return st.lists(made(inner) if is_dataclass(inner) else values_of(inner, about), min_size=few, max_size=3)
    return st.booleans() if hint is bool else TEXT


def made(kind):
    """Configurations of a kind, any field set."""
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{f.name: values_of(hints[f.name], f.metadata) for f in fields(kind)})


@pytest.mark.parametrize("kind", [TrainConfig, Recipe])
@given(data=st.data())
def test_any_configuration_reads_back_the_same(kind, data, tmp_path_factory):
    config, path = check(data.draw(made(kind))), tmp_path_factory.mktemp("config") / "c.yaml"
    write_yaml(config, path)
    assert merge(kind(), read_yaml(path), "c.yaml") == config

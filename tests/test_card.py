import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onestroke.card import ModelCard
from onestroke.errors import ModelError

NUMBERS = st.dictionaries(st.text(string.ascii_lowercase), st.floats(allow_nan=False, allow_infinity=False), max_size=4)
TEXTS = ("name", "painting", "license", "network", "vgg", "style_levels", "onestroke_version")
CARDS = st.builds(
    ModelCard,
    **dict.fromkeys(TEXTS, st.text(max_size=30)),
    **dict.fromkeys(("minimum", "multiple"), st.integers(1, 4096)),
    **dict.fromkeys(("halo", "train_size"), st.integers(0, 65_536)),
    **dict.fromkeys(("parameters", "steps"), st.integers(0, 10**12)),
    tiling=st.sampled_from(["exact", "global-statistics"]),
    solid=st.floats(1e-6, 10),
    strongest=st.floats(0, 10),
    io=st.sampled_from(["uint8", "float"]),
    precision=st.sampled_from(["fp32", "fp16", "w8", "int8"]),
    styles=st.lists(st.text(max_size=30), max_size=4),
    objective=NUMBERS,
    parity=NUMBERS,
)


@given(CARDS)
def test_a_card_reads_back_the_same(card):
    assert ModelCard.from_metadata(card.to_metadata(), "a.onnx") == card


@given(CARDS, st.text(string.ascii_lowercase, min_size=1).filter(lambda name: name not in ModelCard.__dataclass_fields__))
def test_what_a_later_version_adds_is_ignored(card, name):
    if name != "licence":
        assert ModelCard.from_metadata(card.to_metadata() | {name: "1"}, "a.onnx") == card


@given(CARDS, st.sampled_from(sorted(ModelCard.__dataclass_fields__)), st.sampled_from(["", "{", "null", "[[1]]", "NaN", "-1"]))
def test_a_wrong_value_is_one_line(card, name, value):
    with pytest.raises(ModelError, match="its model card is damaged"):
        ModelCard.from_metadata(card.to_metadata() | {name: value}, "a.onnx")

"""What is hidden is hidden the same way within a recording, keeps its shape, and tells nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.ownapp.mask import SALT_BYTES, Mask

SALT, OTHER_SALT = b"a" * SALT_BYTES, b"b" * SALT_BYTES
ALL = Mask(salt=SALT, everything=True)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def shape(value):
    """Kinds, lengths and keys, without what is in them."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return (type(value), len(value) if isinstance(value, str) else None)


@given(plain)
def test_a_hidden_value_has_the_same_shape_and_is_the_same_each_time(value):
    assert shape(ALL.hidden(value)) == shape(value)
    assert ALL.hidden(value) == ALL.hidden(value)


@given(st.text(min_size=16))
def test_a_text_is_hidden_differently_in_another_recording(text):
    hidden = ALL.hidden(text)
    assert hidden != text
    assert hidden != Mask(salt=OTHER_SALT, everything=True).hidden(text)


@given(st.integers() | st.floats(allow_nan=False))
def test_a_number_is_hidden_as_zero(number):
    assert ALL.hidden(number) == 0


def test_different_texts_stay_different():
    texts = [f"customer-{number:04d}@example.com" for number in range(500)]
    assert len({ALL.hidden(text) for text in texts}) == len(texts)


@pytest.mark.parametrize(("name", "hidden"), [("0", [True, False]), ("1", [False, True])])
def test_a_number_hides_the_positional_argument_of_that_place(name, hidden):
    mask = Mask(salt=SALT, names=frozenset({name}))
    args = ["ann@example.com", "bob@example.com"]
    assert [new != old for new, old in zip(mask.args(args), args, strict=True)] == hidden


def test_a_name_hides_that_keyword_argument_and_no_other():
    mask = Mask(salt=SALT, names=frozenset({"email"}))
    kwargs = {"email": {"to": "ann@example.com", "count": 3}, "size": 3, "folder": "inbox"}
    hidden = mask.kwargs(kwargs)
    assert (hidden["size"], hidden["folder"]) == (3, "inbox")
    assert hidden["email"]["count"] == 0
    assert "ann" not in str(hidden)


def test_nothing_is_hidden_unless_asked():
    assert Mask(salt=SALT).args(["a", 1]) == ["a", 1]
    assert Mask(salt=SALT).kwargs({"a": "b"}) == {"a": "b"}

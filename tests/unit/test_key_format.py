"""The text of a key."""

import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth import key_format
from keycli.key_check import looks_whole

SAMPLE = "sk-zg_example0key1_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2quVrM"
SAMPLE_DIGEST = "71d84b1859bad11abcb3dfd9353c8d1873aafd883ffaf6f2c9df7cbcfc3e1850"


def test_the_published_sample_parses_to_its_parts() -> None:
    key = key_format.parse(SAMPLE)
    assert key is not None
    assert (key.kid, key.digest, key.reveal()) == ("example0key1", SAMPLE_DIGEST, SAMPLE)


def test_new_keys_parse_and_differ() -> None:
    keys = [key_format.generate() for _ in range(200)]
    assert len({key.kid for key in keys}) == len({key.secret for key in keys}) == 200
    for key in keys:
        text = key.reveal()
        assert len(text) == 68
        assert key_format.parse(text) == key
        assert looks_whole(text)


@given(place=st.integers(0, 67), character=st.sampled_from(string.ascii_letters + string.digits + "_- \n"))
def test_a_changed_character_is_noticed_by_server_and_client_alike(place: int, character: str) -> None:
    changed = SAMPLE[:place] + character + SAMPLE[place + 1 :]
    assert (key_format.parse(changed) is not None) == (changed == SAMPLE)
    assert looks_whole(changed) == (changed == SAMPLE)


@given(text=st.text(max_size=100))
def test_anything_else_is_no_key_and_no_error(text: str) -> None:
    assert key_format.parse(text) is None
    assert not looks_whole(text)


@pytest.mark.parametrize("text", [SAMPLE + "\n", " " + SAMPLE, SAMPLE.replace("0", "\u0660"), SAMPLE[:67]])
def test_look_alikes_are_refused(text: str) -> None:
    assert key_format.parse(text) is None


def test_no_way_of_printing_a_key_shows_its_secret() -> None:
    key = key_format.generate()
    for text in (repr(key), str(key), f"{key}", f"{key!r}", repr([key]), repr(ValueError(key))):
        assert key.secret not in text
        assert key.secret[:10] not in text
    assert pickle.loads(pickle.dumps(key)) == key  # noqa: S301  our own

import pytest

from audiogen.text import TextEncoder, build_text_encoder, check_captions
from audiogen.text.hashed import HashedEncoder


def test_hashed_encoder_is_rebuilt_from_its_config():
    encoder = HashedEncoder(dim=8, num_buckets=32, max_words=5)
    again = build_text_encoder(encoder.config)
    assert isinstance(again, HashedEncoder)
    assert isinstance(again, TextEncoder)
    assert again.config == encoder.config
    again.load_state_dict(encoder.state_dict(), strict=True)


def test_refuses_an_unknown_type():
    with pytest.raises(ValueError, match=r"unknown text encoder _type 'bert'.*'joined'"):
        build_text_encoder({"_type": "bert", "dim": 8})


def test_refuses_what_is_not_a_list_of_captions():
    with pytest.raises(ValueError, match="caption 1 must be a string or None, got int: 3"):
        check_captions(["rain", 3, 4])
    with pytest.raises(ValueError, match="got one string: 'rain'"):
        check_captions("rain")
    with pytest.raises(ValueError, match="at least one caption"):
        check_captions([])
    check_captions(["", None, "rain"])

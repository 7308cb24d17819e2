"""A codec's fingerprint changes with its codes, and with nothing else."""

import copy

import torch

from audiogen.codec.model import Codec

FIRST_FINGERPRINT = "cc006d7be3377b869b656aa7cab2a4fb79b2dee682e3af96eca80e60d1c6c06f"


def test_a_codec_saved_before_a_keyword_keeps_its_fingerprint():
    """The value is what this codec had when `norm_params` and its kin did not exist."""
    codec = Codec(num_filters=2, dimension=2, ratios=[2], lstm_layers=0, codebook_size=2)
    for value in codec.state_dict().values():
        if value.is_floating_point():
            value.fill_(0.5)
    assert codec.fingerprint() == FIRST_FINGERPRINT
    changed = Codec(**(codec.config | {"norm": "time_group_norm"})).fingerprint()
    eps = {"norm": "time_group_norm", "norm_params": {"eps": 0.1}}
    assert Codec(**(codec.config | eps)).fingerprint() != changed


def test_fingerprint_follows_weights_and_config_only(tiny_codec):
    codec = tiny_codec()
    first = codec.fingerprint()
    assert len(first) == 64
    codec.quantizer.generator.manual_seed(99)
    codec.quantizer.restarts += 1
    assert codec.fingerprint() == first
    assert copy.deepcopy(codec).fingerprint() == first
    with torch.no_grad():
        codec.quantizer.codebooks[1].embed[0, 0] += 1e-6
    second = codec.fingerprint()
    with torch.no_grad():
        codec.encoder.layers[0].conv.bias += 1
    assert len({first, second, codec.fingerprint()}) == 3
    other = Codec(**(codec.config | {"pad_mode": "reflect"}))
    other.load_state_dict(codec.state_dict())
    assert other.fingerprint() != codec.fingerprint()

"""Names and shapes of a published codec's tensors, from the table of its description."""

import torch

from audiogen.codec.model import Codec
from audiogen.released.names import legacy_name, load_named, published_names, transformers_names

F, D, N = 4, 8, 16  # channels after the first convolution, latent width, entries


def weight_normed(name, dim0, dim1, kernel, *, bias):
    return {
        f"{name}.weight_g": [dim0, 1, 1],
        f"{name}.weight_v": [dim0, dim1, kernel],
        f"{name}.bias": [bias],
    }


def conv(name, out, into, kernel):
    return weight_normed(f"{name}.conv.conv", out, into, kernel, bias=out)


def transposed(name, into, out, kernel):
    """Dimension 0 is that of the input."""
    return weight_normed(f"{name}.convtr.convtr", into, out, kernel, bias=out)


def residual(name, dim):
    return conv(f"{name}.block.1", dim // 2, dim, 3) | conv(f"{name}.block.3", dim, dim // 2, 1)


def lstm(name, dim):
    names = {}
    for layer in (0, 1):
        names |= {f"{name}.lstm.weight_{kind}_l{layer}": [4 * dim, dim] for kind in ("ih", "hh")}
        names |= {f"{name}.lstm.bias_{kind}_l{layer}": [4 * dim] for kind in ("ih", "hh")}
    return names


def table():
    """116 tensors of the published model, of another width."""
    names = conv("encoder.model.0", F, 1, 7)
    for i, (place, stride) in enumerate(zip((1, 4, 7, 10), (2, 4, 5, 8), strict=True)):
        dim = F * 2**i
        names |= residual(f"encoder.model.{place}", dim)
        names |= conv(f"encoder.model.{place + 2}", 2 * dim, dim, 2 * stride)
    names |= lstm("encoder.model.13", 16 * F) | conv("encoder.model.15", D, 16 * F, 7)
    names |= conv("decoder.model.0", 16 * F, D, 7) | lstm("decoder.model.1", 16 * F)
    for i, (place, stride) in enumerate(zip((3, 6, 9, 12), (8, 5, 4, 2), strict=True)):
        dim = 16 * F // 2**i
        names |= transposed(f"decoder.model.{place}", dim, dim // 2, 2 * stride)
        names |= residual(f"decoder.model.{place + 1}", dim // 2)
    names |= conv("decoder.model.15", 1, F, 7)
    for k in range(4):
        prefix = f"quantizer.vq.layers.{k}._codebook"
        names |= {f"{prefix}.inited": [1], f"{prefix}.cluster_size": [N]}
        names |= {f"{prefix}.embed": [N, D], f"{prefix}.embed_avg": [N, D]}
    return names


def test_every_name_and_shape():
    codec = Codec(num_filters=F, dimension=D, codebook_size=N)
    own = codec.state_dict()
    found = {name: list(own[ours].shape) for name, ours in published_names(codec).items()}
    assert len(found) == 116
    assert found == table()


def test_names_of_other_norms():
    small = {"num_filters": 2, "dimension": 4, "ratios": [2], "lstm_layers": 0, "num_codebooks": 1}
    spectral = published_names(Codec(**small, norm="spectral_norm"))
    for kind in ("orig", "u", "v"):
        assert f"encoder.model.0.conv.conv.weight_{kind}" in spectral
        assert f"decoder.model.2.convtr.convtr.weight_{kind}" in spectral
    grouped = published_names(Codec(**small, norm="time_group_norm", true_skip=False))
    assert grouped["encoder.model.0.conv.norm.weight"] == "encoder.layers.0.norm.weight"
    assert grouped["decoder.model.2.convtr.norm.bias"] == "decoder.layers.2.norm.bias"
    assert "decoder.model.3.shortcut.conv.conv.weight" in grouped
    learned = published_names(Codec(**small, activation="PReLU"))
    assert learned["encoder.model.2.weight"] == "encoder.layers.2.weight"


def test_names_of_transformers_and_older_ones():
    codec = Codec(num_filters=2, dimension=4, ratios=[2], lstm_layers=1, num_codebooks=1)
    names = transformers_names(codec)
    assert names["quantizer.layers.0.codebook.embed"] == "quantizer.codebooks.0.embed"
    assert "encoder.layers.1.block.1.conv.weight_g" in names
    assert len(names) == len(published_names(codec))
    assert legacy_name("a.parametrizations.weight.other") == "a.parametrizations.weight.other"
    assert legacy_name("a.parametrizations.weight.0._u") == "a.weight_u"


def test_tensors_with_gaps_and_shared_memory(tmp_path):
    """Views of one storage become tensors of their own."""
    codec = Codec(num_filters=2, dimension=4, ratios=[2], lstm_layers=0, num_codebooks=2)
    names = published_names(codec)
    own = codec.state_dict()
    expected = {name: own[ours].clone() for name, ours in names.items()}
    given = {name: value.clone() for name, value in expected.items()}
    key = "quantizer.vq.layers.0._codebook.embed"
    expected[key] = given[key] = torch.randn(4, 2048).t()
    for k in (0, 1):
        given[f"quantizer.vq.layers.{k}._codebook.cluster_size"] = torch.ones(1).expand(2048)
        expected[f"quantizer.vq.layers.{k}._codebook.cluster_size"] = torch.ones(2048)
    load_named(codec, given, names, source=tmp_path)
    own = codec.state_dict()
    assert all(torch.equal(own[ours], expected[name]) for name, ours in names.items())
    with torch.no_grad():
        codec.quantizer.codebooks[0].cluster_size[0] = 5
    assert codec.quantizer.codebooks[1].cluster_size[0] == 1
    assert codec.quantizer.codebooks[0].cluster_size[1] == 1

import ast
import json
import pickle
import random
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.embedders import clap as clap_module
from evaluation.embedders import clap_front
from evaluation.embedders.clap import Clap, ClapFeatures, build
from evaluation.embedders.clap_text import find_tokenizer, load_tokenizer, stand_in_tokenizer
from evaluation.embedders.registry import build_network
from evaluation.embedders.weight_file import WeightsError

CAPTIONS = ["a dog barks", "heavy rain falls on a tin roof", "Hello world", ""]


@pytest.fixture(scope="module")
def clap(small_folder):
    return Clap(weights=small_folder / "clap.pt")


@pytest.fixture(scope="module")
def fusion(small_folder):
    return Clap(weights=small_folder / "fusion.pt")


def lengths(embeddings):
    return embeddings.norm(dim=1)


def test_sounds_and_captions_share_a_space(clap, make_sound):
    sounds = torch.stack([make_sound(1.0, key) for key in range(3)])
    audio, text = clap.audio(sounds), clap.text(CAPTIONS)
    assert audio.shape == (3, 512)
    assert text.shape == (4, 512)
    assert audio.dtype == text.dtype == torch.float32
    torch.testing.assert_close(lengths(audio), torch.ones(3))
    torch.testing.assert_close(lengths(text), torch.ones(4))
    nothing = (
        clap.text([]),
        clap.audio(torch.zeros(0, 100)),
        clap.run(torch.zeros(0, 1, 1001, 64)),
    )
    assert {tuple(rows.shape) for rows in nothing} == {(0, 512)}


def test_a_batch_changes_no_item(clap, fusion, make_sound):
    captions = [*CAPTIONS, " ".join(["dog"] * 60)] * 8
    alone = torch.cat([clap.text([caption]) for caption in captions[:5]])
    torch.testing.assert_close(clap.text(captions)[-5:], alone, rtol=0, atol=1e-6)
    for network in (clap, fusion):
        sounds = torch.stack([make_sound(0.5, key) for key in range(6)])
        alone = torch.cat([network.audio(sound[None]) for sound in sounds])
        torch.testing.assert_close(network.audio(sounds), alone, rtol=0, atol=1e-6)


def test_without_a_long_sound_nothing_is_fused(fusion, make_sound):
    """Transformers' extractor would have an item of the batch fused, at random."""
    from transformers import ClapFeatureExtractor

    sound = make_sound(1.0)
    extract = ClapFeatureExtractor(frequency_min=50, truncation="fusion")
    inputs = extract(sound.numpy(), sampling_rate=48000, return_tensors="pt")
    assert inputs["is_longer"].all()
    with torch.inference_mode():
        wrong = fusion.network.get_audio_features(**inputs).pooler_output
        inputs["is_longer"][:] = False
        right = fusion.network.get_audio_features(**inputs).pooler_output
    found = fusion.audio(sound[None])
    torch.testing.assert_close(found, right, rtol=0, atol=1e-5)
    assert (found - wrong).abs().max() > 1e-3


def test_long_sounds_by_every_rule(small_folder, clap, fusion, make_sound):
    sound = make_sound(21.0)[None]
    path = small_folder / "clap.pt"
    first = Clap(weights=path, long="first").audio(sound)
    torch.testing.assert_close(first, clap.audio(sound[:, :480000]))
    assert (clap.audio(sound) - first).abs().max() > 1e-5  # cropped elsewhere
    spread = Clap(weights=path, long="windows")
    windows = ClapFeatures(spread).windows(sound[0])
    assert windows.shape == (3, 1, 1001, 64)
    rows = ClapFeatures(spread).run(windows)["embedding"]
    mean = torch.nn.functional.normalize(rows.mean(dim=0, keepdim=True), dim=-1)
    torch.testing.assert_close(spread.audio(sound), mean)
    assert ClapFeatures(fusion).windows(sound[0]).shape == (1, 4, 1001, 64)
    assert Clap(weights=small_folder / "fusion.pt", long="first").options["long"] == "first"


def test_no_random_stream_moves(clap, fusion, make_sound):
    before = (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
    )
    sound = make_sound(11.0)[None]
    for network in (clap, fusion):
        first = network.audio(sound)
        assert torch.equal(network.audio(sound), first)
    clap.text(CAPTIONS)
    assert before == (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
    )


def test_bfloat16_is_near_float32_and_comes_out_as_float32(small_folder, clap, make_sound):
    cheap = Clap(weights=small_folder / "clap.pt", dtype=torch.bfloat16)
    sounds = torch.stack([make_sound(1.0, key) for key in range(2)])
    for near, exact in (
        (cheap.audio(sounds), clap.audio(sounds)),
        (cheap.text(CAPTIONS), clap.text(CAPTIONS)),
    ):
        assert near.dtype == torch.float32
        assert (near - exact).abs().max() > 0
        assert (near * exact).sum(dim=1).min() > 0.999


def test_as_features_of_a_card(small_folder, clap, make_sound):
    network = build(weights=small_folder / "clap.pt", quantize=True, long="first", short="pad")
    assert (network.name, network.sample_rate, network.outputs) == (
        "clap",
        48000,
        {"embedding": 512},
    )
    assert network.weights_sha256 == clap.weights_sha256
    assert not clap.stand_in
    windows = network.windows(make_sound(1.0))
    assert network.run(windows)["embedding"].shape == (1, 512)
    torch.testing.assert_close(network.text(CAPTIONS), clap.text(CAPTIONS))
    packed = pickle.dumps(network)
    assert len(packed) < 1000
    copy = pickle.loads(packed)
    assert torch.equal(copy.windows(make_sound(1.0)), windows)
    for call in (lambda: copy.run(windows), lambda: copy.text(CAPTIONS)):
        with pytest.raises(ValueError, match="worker process"):
            call()


def test_options_are_checked(small_folder, clap):
    path = small_folder / "clap.pt"
    for options, message in (
        ({"long": "fusion"}, "long must be one of random_crop, first, windows here, got 'fusion'"),
        ({"long": "last"}, "long must be one of"),
        ({"short": "stretch"}, "short must be one of repeat_then_pad, repeat, pad"),
        ({"tower": "base"}, r"clap\.pt: expected HTSAT-base, got one of width 16"),
        ({"fusion": True}, "expected a network with fusion, got one without"),
    ):
        with pytest.raises(ValueError, match=message):
            Clap(weights=path, **options)
    with pytest.raises(ValueError, match="expected a network without fusion, got one with"):
        Clap(weights=small_folder / "fusion.pt", fusion=False)
    with pytest.raises(ValueError, match="tower must be one of tiny, base, got 'large'"):
        Clap(weights=None, tower="large")
    for captions in ("a dog", ["a dog", None], [b"a dog"]):
        with pytest.raises(ValueError, match="expected a list of captions"):
            clap.text(captions)
    with pytest.raises(ValueError, match=r"waveforms \[B, T\]"):
        clap.audio(torch.zeros(100))
    for shape in ((1, 4, 1001, 64), (1, 1, 1000, 64)):
        with pytest.raises(ValueError, match=r"spectrograms \[n, 1, 1001, 64\], got"):
            clap.run(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"network clap: no option window"):
        build_network("clap", weights=path, options={"window": 1})


def test_a_text_tower_that_says_the_same_of_everything_is_refused(
    small_laion, small_folder, tmp_path, monkeypatch
):
    content = small_laion()
    content["state_dict"]["module.text_projection.0.weight"].mul_(1e-3)
    content["state_dict"]["module.text_projection.0.bias"].fill_(1.0)
    path = tmp_path / "broken.pt"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"broken\.pt: the text tower .* cosine of 1\.0000"):
        Clap(weights=path, tokenizer=small_folder / "roberta-base")
    monkeypatch.setattr("evaluation.embedders.clap_text._cached", list)
    sounds_alone = Clap(weights=path)  # which the tower says nothing about
    assert sounds_alone.audio(torch.ones(1, 48000)).shape == (1, 512)
    shutil.copytree(small_folder / "roberta-base", tmp_path / "roberta-base")
    with pytest.raises(WeightsError, match=r"broken\.pt: the text tower"):
        sounds_alone.text(["a dog barks"])


def test_a_stand_in_needs_no_file_and_says_so():
    network = build_network("clap", weights=None, options={"tower": "tiny", "fusion": True})
    assert network.weights_sha256 is None
    assert network.clap.stand_in
    text = network.text(["a dog barks", "A dog  barks", "rain"])
    torch.testing.assert_close(text[0], text[1])
    assert (text[0] - text[2]).abs().max() > 1e-3


def test_words_of_a_stand_in():
    ids, mask = stand_in_tokenizer(["one two", "", " ".join(["many"] * 100)])
    assert ids.shape == (3, 77)
    assert mask.sum(dim=1).tolist() == [4, 2, 77]
    assert ids[1].tolist() == [0, 2] + [1] * 75
    assert ids[2, 0] == 0
    assert ids[2, -1] == 2
    assert 4 <= ids[2, 1] < 50264


def test_tokens_stop_at_77(small_folder):
    tokenize = load_tokenizer(small_folder / "roberta-base", words=400)
    ids, mask = tokenize(["dog " * 200, "Hello world"])
    assert ids.shape == mask.shape == (2, 77)
    assert ids[0, 0] == ids[1, 0] == 0
    assert ids[0, -1] == 2
    assert mask.sum(dim=1).tolist() == [77, 4]
    assert (ids[1, 4:] == 1).all()
    assert tokenize(["Hello world"])[0].shape == (1, 4)


def test_the_tokenizer_has_to_be_roberta_s(make_tokenizer, tmp_path):
    right = make_tokenizer(tmp_path / "right", words=50265)
    assert load_tokenizer(right, words=50265)(["Hello world"])[0].tolist() == [[0, 31414, 232, 2]]
    ids = json.loads((right / "vocab.json").read_text())
    ids["Hello"], ids["Ġworld"] = ids["Ġworld"], ids["Hello"]
    wrong = tmp_path / "wrong"
    shutil.copytree(right, wrong)
    (wrong / "vocab.json").write_text(json.dumps(ids))
    with pytest.raises(WeightsError, match=r"makes \[0, 232, 31414, 2\] of 'Hello world', where"):
        load_tokenizer(wrong, words=50265)
    with pytest.raises(WeightsError, match="it has 50265 words, the network 400"):
        load_tokenizer(right, words=400)
    (wrong / "vocab.json").write_text("<html>")
    with pytest.raises(WeightsError, match="wrong: not RoBERTa's tokenizer"):
        load_tokenizer(wrong, words=50265)


def test_where_the_tokenizer_is_looked_for(small_folder, tmp_path, monkeypatch):
    files = small_folder / "roberta-base"
    monkeypatch.setattr("evaluation.embedders.clap_text._cached", list)  # no hub on this machine
    assert find_tokenizer(small_folder / "clap.pt") == files
    assert find_tokenizer(None, files) == files
    hub = tmp_path / "hub"
    hub.mkdir()
    with pytest.raises(
        WeightsError, match=r"vocab\.json and merges\.txt of https://huggingface\.co"
    ):
        find_tokenizer(hub / "clap.pt")
    with pytest.raises(WeightsError, match=r"neither in .*elsewhere nor"):
        find_tokenizer(small_folder / "clap.pt", tmp_path / "elsewhere")
    shutil.copytree(files, tmp_path / "roberta-base")
    assert find_tokenizer(hub) == tmp_path / "roberta-base"
    (hub / "tokenizer.json").touch()
    assert find_tokenizer(hub) == hub
    (hub / "tokenizer.json").unlink()
    (hub / "vocab.json").touch()  # merges.txt is missing
    assert find_tokenizer(hub) == tmp_path / "roberta-base"
    monkeypatch.setattr("evaluation.embedders.clap_text._cached", lambda: [files])
    assert find_tokenizer(None) == files


def test_a_missing_tokenizer_is_told_when_captions_come(small_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("evaluation.embedders.clap_text._cached", list)
    shutil.copy(small_folder / "clap.pt", tmp_path / "clap.pt")
    clap = Clap(weights=tmp_path / "clap.pt")
    with pytest.raises(WeightsError, match=f"into {tmp_path}/roberta-base"):
        clap.text(["a dog barks"])


def test_the_hub_s_cache_is_used_without_a_network(small_folder, tmp_path, monkeypatch):
    """In an empty cache nothing is found and nobody is asked; in a filled one it is there."""

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(WeightsError, match="nor in the hub's cache"):
        find_tokenizer(tmp_path / "clap.pt")
    snapshot = tmp_path / "models--FacebookAI--roberta-base" / "snapshots" / ("0" * 40)
    shutil.copytree(small_folder / "roberta-base", snapshot)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    assert find_tokenizer(tmp_path / "clap.pt") == snapshot
    assert load_tokenizer(snapshot, words=400)(["Hello"])[0].shape == (1, 3)


def test_a_hub_folder_brings_its_own_words(small_clap, make_tokenizer, tmp_path):
    small_clap().save_pretrained(tmp_path / "hub")
    make_tokenizer(tmp_path / "hub", words=400)
    network = build_network("clap", weights=tmp_path / "hub", options={"fusion": False})
    assert network.text(["a dog barks"]).shape == (1, 512)
    assert len(network.weights_sha256) == 64


def test_towers_are_imported_when_they_are_built():
    """Transformers' models take seconds, which a worker that makes spectrograms need not spend."""
    for module in (clap_module, clap_front):
        tops = ast.parse(Path(module.__file__).read_text()).body
        imports = [
            ast.unparse(node) for node in tops if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert imports
        for line in imports:
            assert "clap_network" not in line
            assert "transformers" not in line or "transformers.audio_utils" in line

"""The cosine of sound and caption in a CLAP of transformers, against the network itself."""

import json

import numpy as np
import pytest
import torch

from audiogen.audio import resample
from audiogen.generation.clap_score import ClapScore
from audiogen.text.folders import TextEncoderError


@pytest.fixture(scope="module")
def folder(clap_folder, tmp_path_factory):
    """A whole random CLAP of 8 dimensions that hears a second at once."""
    import transformers

    path = tmp_path_factory.mktemp("whole_clap")
    sound = {
        "hidden_size": 32,
        "patch_embeds_hidden_size": 4,
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 1, 1],
        "spec_size": 256,
        "initializer_factor": 20.0,
    }
    text = json.loads((clap_folder / "config.json").read_text())
    config = transformers.ClapConfig(text_config=text, audio_config=sound, projection_dim=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.ClapModel(config).save_pretrained(path)
    transformers.AutoTokenizer.from_pretrained(clap_folder).save_pretrained(path)
    listener = transformers.ClapFeatureExtractor(
        truncation="rand_trunc", max_length_s=1, frequency_max=14000, frequency_min=50
    )
    listener.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def clap(folder):
    return ClapScore(name=str(folder))


def sounds(seconds, rate=16000):
    return torch.randn(
        2, 2, round(seconds * rate), generator=torch.Generator().manual_seed(0)
    ).mul_(0.1)


def test_scores_are_cosines_of_the_network(clap):
    waveforms = sounds(0.3)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    found = clap(waveforms, 16000, "a dog barks twice")
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert found.shape == (2,)
    words = clap.tokenizer("a dog barks twice", return_tensors="pt").input_ids
    for score, waveform in zip(found, waveforms, strict=True):
        heard = clap.listener(
            resample(waveform.mean(0), 16000, 48000).numpy(),
            sampling_rate=48000,
            return_tensors="pt",
        )
        with torch.no_grad():
            output = clap.network(input_ids=words, **heard)
        scale = clap.network.logit_scale_a.exp().item()
        assert float(score) == pytest.approx(float(output.logits_per_audio) / scale, abs=1e-5)
    assert -1 <= float(found.min()) < float(found.max()) <= 1


def test_long_sounds_are_heard_in_pieces_and_alike_each_time(clap):
    waveforms = sounds(2.4)
    found = clap(waveforms, 16000, "rain")
    torch.testing.assert_close(found, clap(waveforms, 16000, "rain"), rtol=0, atol=0)
    parts = torch.stack([clap(part, 16000, "rain") for part in waveforms.split(16000, dim=-1)])
    expected = (parts * torch.tensor([5, 5, 2])[:, None] / 12).sum(dim=0)
    assert (expected - found).abs().max() < 0.05  # each cut rings a little at its edges


def test_a_caption_of_any_length(clap):
    assert clap(sounds(0.1), 16000, "rain " * 500).isfinite().all()


def test_it_chooses(model, folder):
    call = {"durations": 0.05, "seed": 2, "best_of": 3, "scorer": f"clap:{folder}"}
    (made,) = model.generate_each(["rain on a tin roof"], **call)
    assert (made.scorer, made.n) == (f"clap:{folder}", 3)
    assert len(set(made.scores)) > 1
    best = model.generate(
        ["rain on a tin roof"], duration=0.05, seed=2, best_of=3, scorer=f"clap:{folder}"
    )
    torch.testing.assert_close(best[0], made.waveform)


def test_what_is_no_whole_clap_is_refused_before_the_work(model, clap_folder, tmp_path):
    call = {"duration": 0.05, "seed": 2, "best_of": 3}
    with pytest.raises(TextEncoderError, match="no CLAP model can be read from"):  # half
        model.generate(["rain"], **call, scorer=f"clap:{clap_folder}")
    with pytest.raises(TextEncoderError, match="no CLAP model at /nowhere/clap"):
        model.generate(["rain"], **call, scorer="clap:/nowhere/clap")


def test_how_sound_is_heard_has_to_be_said(folder, tmp_path):
    for file in folder.iterdir():
        if file.name != "preprocessor_config.json":
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(TextEncoderError, match=r"it has no preprocessor_config\.json"):
        ClapScore(name=str(tmp_path))

"""Training that begins with a codec that exists is one difference of configuration."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from audiogen.checkpoint import save_codec
from audiogen.codec.model import Codec
from audiogen.released.export import export_released
from audiogen.training.identity import register_resolvers, run_id
from audiogen.training.launch import CONF
from audiogen.training.pretrained import pretrained_codec

from .conftest import Starter
from .test_codec_module import fit, make_codec, make_data, make_module

FACTS = {"sample_rate": 16000, "channels": 1, "num_codebooks": 2, "codebook_size": 8}
LEARNING = {"decay": 0.9, "dead_code_threshold": 0.2}


def learned_codec() -> Codec:
    """A codec whose codebooks have started, with published settings."""
    torch.manual_seed(3)
    codec = make_codec(dead_code_threshold=2.0, dead_code_unit="count", codebook_dropout=True)
    codec.quantizer.start(torch.randn(1, 4, 200))
    return codec.eval()


def write(codec: Codec, folder: Path, kind: str) -> Path:
    if kind == "ours":
        return save_codec(codec, folder / "ours")
    if kind == "published":
        return export_released(codec, folder / "compression_state_dict.bin")
    return transformers_folder(folder / "transformers")


def transformers_folder(folder: Path) -> Path:
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(3)
    config = EncodecConfig(
        target_bandwidths=[6.0], sampling_rate=16000, num_filters=2, hidden_size=4,
        codebook_dim=4, upsampling_ratios=[4, 2], codebook_size=8, num_lstm_layers=1,
        use_causal_conv=False,
    )  # fmt: skip
    model = EncodecModel(config)
    for layer in model.quantizer.layers:
        layer.codebook.embed.normal_()
        layer.codebook.inited.fill_(1)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["ours", "published", "transformers"])
def test_training_goes_on_from_the_source(tmp_path, kind):
    path = write(learned_codec(), tmp_path, kind)
    source = Codec.from_pretrained(path)
    facts = FACTS | {"num_codebooks": source.total_codebooks}
    codec = pretrained_codec(str(path), **facts, **LEARNING)
    sound = torch.randn(1, 1, 64)
    codec.eval()
    expected = source(sound)
    assert torch.equal(codec(sound).waveform, expected.waveform)  # the weights are the source's
    assert codec.config["decay"] == 0.9  # and how it learns is ours
    assert (codec.config["dead_code_unit"], codec.config["codebook_dropout"]) == ("mean", False)

    before = {name: value.clone() for name, value in codec.state_dict().items()}
    module = make_module(codec=codec)
    assert codec.training  # a codec that stays in eval mode would keep its codebooks
    fit(module, tmp_path / "run", steps=2, data=make_data(2))
    after = module.codec.state_dict()
    assert not torch.equal(
        after["quantizer.codebooks.0.embed"], before["quantizer.codebooks.0.embed"]
    )
    changed = [not torch.equal(after[name], before[name]) for name, _ in codec.named_parameters()]
    assert sum(changed) > 0.9 * len(changed)


def test_a_source_that_is_not_as_the_configuration_has_it(tmp_path):
    path = save_codec(learned_codec(), tmp_path / "codec")
    wrong = FACTS | {"sample_rate": 48000, "codebook_size": 2048}
    with pytest.raises(ValueError, match=r"set codec\.sample_rate=16000 codec\.codebook_size=8$"):
        pretrained_codec(str(path), **wrong, **LEARNING)


def words(source: Path) -> list[str]:
    facts = [f"codec.{name}={value}" for name, value in FACTS.items()]
    lengths = ["data.train.segment_duration=0.1", "data.valid.segment_duration=0.1"]
    chosen = ["experiment=smoke_codec", "codec=pretrained", "adversarial=none"]
    return [*chosen, *facts, *lengths, f"codec.source={source}"]


def test_fine_tuning_is_a_difference_of_configuration(scripts: Starter, tmp_path: Path):
    source = save_codec(learned_codec(), tmp_path / "codec")
    runs, export = tmp_path / "runs", tmp_path / "tuned"
    started = [*words(source), f"paths.runs={runs}", f"export_to={export}"]
    assert scripts.run("train_codec.py", *started) == 0, scripts.log.read_text()
    tuned, codec = Codec.from_pretrained(export), Codec.from_pretrained(source)
    assert tuned.fingerprint() != codec.fingerprint()
    for one, two in zip(tuned.parameters(), codec.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=2e-3)  # two updates away
    assert scripts.run("train_codec.py", *words("???"), f"paths.runs={tmp_path}/none") == 2
    assert "codec.source is required" in scripts.log.read_text().splitlines()[-1]


def test_the_identity_of_a_run_includes_the_content_of_its_source(tmp_path):
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):

        def identity(source: Path) -> str:
            return run_id(_root_=compose("train_codec", overrides=words(source)))

        first, second = (save_codec(learned_codec(), tmp_path / name) for name in "ab")
        assert identity(first) == identity(second)
        changed = learned_codec()
        changed.encoder.layers[0].conv.bias.data += 1
        assert identity(save_codec(changed, tmp_path / "c")) != identity(first)
        one = export_released(learned_codec(), tmp_path / "compression_state_dict.bin")
        two = export_released(changed, tmp_path / "c.bin")
        assert identity(one) != identity(two)

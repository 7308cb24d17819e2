"""The reference's own files, where they lie beside this checkout: read, computed, written again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from audiogen.model_folder.layout import CheckpointError
from audiogen.released import export_released, load_released_codec

REFERENCE = Path(__file__).parents[4] / "shared" / "fixtures" / "audiocraft"
FOLDERS = {
    "codec_base": "audiogen_tiny",
    "codec_causal": "codec_causal",
    "codec_renorm": "codec_renorm",
    "codec_nq8": "codec_nq8",
}
pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the reference's files are not beside this checkout (../shared)"
)


@pytest.mark.parametrize("case", FOLDERS)
def test_what_it_computes(case):
    codec = load_released_codec(REFERENCE / FOLDERS[case])
    arrays = {k: torch.from_numpy(v) for k, v in np.load(REFERENCE / f"{case}.npz").items()}
    with torch.no_grad():
        codes, scale = codec.encode(arrays["x1"])
        sound = codec.decode(arrays["codes1"], scale)
    assert torch.equal(codes, arrays["codes1"])
    torch.testing.assert_close(sound, arrays["decoded1"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", FOLDERS)
def test_what_is_written_again(case, tmp_path):
    source = REFERENCE / FOLDERS[case] / "compression_state_dict.bin"
    old = torch.load(source, weights_only=True)
    path = export_released(load_released_codec(source), tmp_path)
    new = torch.load(path, weights_only=True)
    assert list(new) == list(old)
    assert new["best_state"].keys() == old["best_state"].keys()
    for name, value in old["best_state"].items():
        assert torch.equal(new["best_state"][name], value), name
    theirs, ours = OmegaConf.create(old["xp.cfg"]), OmegaConf.create(new["xp.cfg"])
    for key in ("compression_model", "sample_rate", "channels", "solver"):
        assert ours[key] == theirs[key]
    for key in ("encodec", "seanet", "rvq"):
        found, wanted = (OmegaConf.to_container(c[key], resolve=True) for c in (ours, theirs))
        assert found == wanted


@pytest.mark.parametrize("file", ["audiogen_tiny/state_dict.bin", "lm_alt/state_dict.bin"])
def test_a_language_model_is_no_codec(file):
    with pytest.raises(CheckpointError, match="is a language model, and a codec was asked for"):
        load_released_codec(REFERENCE / file)


def test_the_discriminator_is_no_codec():
    with pytest.raises(CheckpointError, match=r"msstftd.bin has no xp.cfg"):
        load_released_codec(REFERENCE / "training" / "msstftd.bin")

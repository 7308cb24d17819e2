"""Files that name another codec instead of holding one, and sources of every kind."""

from types import SimpleNamespace

import pytest
import torch

from audiogen.checkpoint import load_codec, load_model, save_codec
from audiogen.codec.model import Codec
from audiogen.model_folder import hub
from audiogen.model_folder.layout import CheckpointError
from audiogen.released import load_released


@pytest.fixture
def redirect(tmp_path):
    """Return a function that writes a file which stands for a codec by its name."""

    def write(name, file="redirect.bin"):
        package = {"pretrained": name, "exported": True, "version": "1.4.0a2"}
        torch.save(package, tmp_path / file)
        return tmp_path / file

    return write


def test_to_a_path_from_anywhere(redirect, publish, tmp_path, monkeypatch):
    path = publish()
    expected = load_released(path).fingerprint()
    assert load_released(redirect(str(path))).fingerprint() == expected
    assert load_released(redirect("codec.bin")).fingerprint() == expected  # beside the file
    monkeypatch.chdir(path.parent.parent)
    assert load_released(redirect(f"{path.parent.name}/codec.bin")).fingerprint() == expected


def test_through_several_files(redirect, publish):
    path = publish()
    redirect("codec.bin", "one.bin")
    redirect("one.bin", "two.bin")
    assert load_released(redirect("two.bin")).fingerprint() == load_released(path).fingerprint()


def test_in_a_circle(redirect):
    redirect("two.bin", "one.bin")
    path = redirect("one.bin", "two.bin")
    with pytest.raises(CheckpointError, match=r"two.bin names itself .*by way of 2 file"):
        load_released(path)
    with pytest.raises(CheckpointError, match=r"names itself .*by way of 1 file"):
        load_released(redirect("self.bin", "self.bin"))


@pytest.mark.parametrize("name", ["dac_44khz", "dac_24khz", "debug_compression_model", 7, None])
def test_to_a_codec_of_another_kind(redirect, name):
    with pytest.raises(CheckpointError, match=f"stands for the codec {name!r}, which is none"):
        load_released(redirect(name))


def test_to_nothing(redirect):
    with pytest.raises(FileNotFoundError, match=r"stands for the codec 'gone\.bin', and there is"):
        load_released(redirect("gone.bin"))
    with pytest.raises(FileNotFoundError, match="neither a folder here nor in the hub's cache"):
        load_released(redirect("nobody/no-such-codec"))


@pytest.fixture
def encodec(tmp_path):
    """Folder of a random `EncodecModel`."""
    import transformers

    config = transformers.EncodecConfig(
        hidden_size=4, num_filters=2, upsampling_ratios=[2, 2], codebook_size=8, num_lstm_layers=1
    )
    transformers.EncodecModel(config).save_pretrained(tmp_path / "encodec")
    return tmp_path / "encodec"


def test_to_a_model_of_transformers(redirect, encodec, monkeypatch):
    """A folder, or an id of the hub."""
    import huggingface_hub

    expected = load_codec(encodec).fingerprint()
    assert load_released(redirect("encodec")).fingerprint() == expected
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", None)
    in_cache = {"config.json": str(encodec / "config.json")}
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda _, file, **__: in_cache.get(file)
    )
    assert load_released(redirect("someone/encodec_24khz")).fingerprint() == expected


def test_every_kind_of_source(publish, encodec, tmp_path, monkeypatch):
    """`load_codec` and `Codec.from_pretrained` tell them apart by what is there."""
    path = publish(name="compression_state_dict.bin")
    codec = load_released(path)
    ours = save_codec(codec, tmp_path / "ours")
    training = tmp_path / "training"
    training.mkdir()
    training.joinpath("checkpoint.th").write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    for source in (path, str(path), path.parent, ours, training, training / "checkpoint.th"):
        assert load_codec(source).fingerprint() == codec.fingerprint()
    relative = Codec.from_pretrained("compression_state_dict.bin")
    assert relative.fingerprint() == codec.fingerprint()
    assert load_codec(encodec).sample_rate == 24000


def test_a_folder_with_a_foreign_config_beside_the_codec(publish, tmp_path):
    """As on the hub: a config.json of transformers for the same model."""
    path = publish(name="compression_state_dict.bin")
    (tmp_path / "config.json").write_text('{"model_type": "musicgen"}')
    assert load_codec(tmp_path).fingerprint() == load_released(path).fingerprint()


def test_our_folder_goes_before_a_published_file_in_it(publish, tmp_path):
    codec = load_released(publish())
    folder = save_codec(codec, tmp_path / "ours")
    (folder / "compression_state_dict.bin").write_bytes(b"")
    assert load_codec(folder).fingerprint() == codec.fingerprint()
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is not JSON"):
        load_codec(folder)


def test_a_published_codec_of_the_hub(publish, monkeypatch):
    """The codec alone is fetched: the language model beside it is a hundred times its size."""
    import huggingface_hub

    path, asked = publish(name="compression_state_dict.bin"), []
    files = [SimpleNamespace(rfilename=name, lfs=None) for name in hub.PUBLISHED_FILES]
    listing = SimpleNamespace(siblings=files)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *_, **__: listing)
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *names, **_: asked.append(names) or str(path)
    )
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    found = Codec.from_pretrained("facebook/audiogen-medium")
    assert found.fingerprint() == load_released(path).fingerprint()
    assert asked == [("facebook/audiogen-medium", hub.CODEC_FILE)]


def test_a_whole_model_is_not_loaded_from_the_codec_alone(publish, tmp_path):
    publish(name="compression_state_dict.bin")
    with pytest.raises(CheckpointError, match=r"no language model: load it with Codec\.from_pretr"):
        load_model(tmp_path)


IMPOSSIBLE = ["~nosuchuser/x", "x" * 300, "x" * 251, "x" * 5000, "a" * 300 + "/x", "a\0b"]


@pytest.mark.parametrize("name", IMPOSSIBLE, ids=range(len(IMPOSSIBLE)))
@pytest.mark.parametrize("kind", ["path", "redirect"])
def test_names_at_which_nothing_can_be(redirect, name, kind):
    """Neither the system nor the home of a user knows them; whoever asks learns what to do."""
    source = redirect(name) if kind == "redirect" else name
    for load in (load_released, load_codec):
        with pytest.raises(FileNotFoundError, match=r"there|put it|give") as caught:
            load(source)
        assert len(str(caught.value)) < 1000


def test_a_link_to_itself(redirect, tmp_path):
    link = tmp_path / "link.bin"
    link.symlink_to(link.name)
    for load in (load_released, load_codec, load_model):
        with pytest.raises(FileNotFoundError, match=r"nothing at '.*link.bin'.*give another"):
            load(link)
    with pytest.raises(FileNotFoundError, match=r"stands for the codec 'link.bin', and there is"):
        load_codec(redirect(link.name))


@pytest.mark.parametrize("source", [None, 3, b"codec.bin", ["codec.bin"]])
def test_sources_that_are_no_path(source):
    for load in (load_released, load_codec, load_model):
        with pytest.raises(ValueError, match="expected a path as text, got"):
            load(source)

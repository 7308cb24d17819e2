import hashlib
import io
import multiprocessing
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from evaluation.embedders.clap_archive import read_laion
from evaluation.embedders.clap_copy import copy_places, read_copy, write_copy
from evaluation.embedders.clap_network import embed_audio, load_clap
from evaluation.embedders.weight_file import WeightsError


@pytest.fixture
def folder(small_folder, tmp_path):
    """A copy of the small checkpoint in a folder of its own."""
    shutil.copy(small_folder / "clap.pt", tmp_path / "clap.pt")
    return tmp_path


def same(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_weights_come_out_of_a_training_checkpoint(small_clap, folder):
    network, sha256 = load_clap(folder / "clap.pt")
    same(dict(network.state_dict()), dict(small_clap().state_dict()))
    assert sha256 == hashlib.sha256((folder / "clap.pt").read_bytes()).hexdigest()
    assert not network.training


def test_a_bare_state_is_as_good(small_laion, small_clap, tmp_path):
    state = {n.removeprefix("module."): t for n, t in small_laion()["state_dict"].items()}
    torch.save(state, tmp_path / "bare.pt")
    network, _ = load_clap(tmp_path / "bare.pt")
    same(dict(network.state_dict()), dict(small_clap().state_dict()))


def test_nothing_beside_the_weights_is_built(small_laion, tmp_path):
    """The file names numpy's functions, under their older address too; none of them is called."""
    buffer = io.BytesIO()
    torch.save(small_laion(), buffer)
    path = tmp_path / "old.pt"
    with zipfile.ZipFile(buffer) as new, zipfile.ZipFile(path, "w") as old:
        for record in new.namelist():
            data = new.read(record)
            if record.endswith("data.pkl"):
                data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            old.writestr(record, data)
    state = read_laion(path)
    assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())
    assert "logit_scale_a" in state


def test_a_file_that_changed_since_it_was_fetched_is_refused(small_laion, tmp_path):
    path = tmp_path / "clap.pt"
    torch.save(small_laion(), path)
    (tmp_path / "clap.pt.sha256").write_text(f"{'0' * 64}  clap.pt\n")
    with pytest.raises(WeightsError, match=r"clap\.pt: its sha256 is .* when it was fetched"):
        load_clap(path)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile",)


@pytest.mark.parametrize("place", ["optimizer", "state_dict"])
def test_a_file_that_would_run_something_is_refused(small_laion, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    content = small_laion()
    content[place]["extra"] = Hostile()
    torch.save(content, tmp_path / "clap.pt")
    with pytest.raises(WeightsError, match=r"clap\.pt wants posix\.system to be called"):
        load_clap(tmp_path / "clap.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(WeightsError, match="unsafe"):
        load_clap(tmp_path / "bare.pt")
    assert not (tmp_path / "hostile").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("module.text_projection.0.bias"), r"1 missing \(text_projection"),
        (lambda state: state.update(extra=torch.zeros(1)), r"1 unexpected \(extra\)"),
        (
            lambda state: state.update({"module.audio_branch.bn0.bias": torch.zeros(65)}),
            r"batch_norm\.bias \[65\] instead of \[64\]",
        ),
        (
            lambda state: state["module.audio_branch.norm.weight"].fill_(torch.nan),
            "not finite",
        ),
        (lambda state: state["module.audio_projection.2.weight"].zero_(), "the same embedding"),
        (lambda state: state.clear(), "expected a state dict"),
        (lambda state: state.update(name="clap"), "expected tensors only, but name"),
    ],
)
def test_weights_of_something_else_are_refused(small_laion, tmp_path, change, message):
    content = small_laion()
    change(content["state_dict"])
    torch.save(content, tmp_path / "clap.pt")
    with pytest.raises(WeightsError, match=message):
        load_clap(tmp_path / "clap.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["clap.pt"]  # and no copy of them is made


def test_damaged_files_are_refused_by_name(folder, tmp_path):
    whole = (folder / "clap.pt").read_bytes()
    middle = len(whole) // 2
    for name, content, message in (
        ("cut.pt", whole[:-1000], "cut.pt: cut short or damaged"),
        (
            "flip.pt",
            whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "flip.pt: d",
        ),
        ("page.pt", b"<html>404</html>", "page.pt: a web page"),
        ("empty.pt", b"", "empty.pt: the file is empty"),
        ("list.pt", b"\x80\x02]q\x00.", "list.pt: "),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            load_clap(tmp_path / name)
    with pytest.raises(WeightsError, match=r"none\.pt: no such file or folder"):
        load_clap(tmp_path / "none.pt")


def copies(folder):
    return sorted(folder.glob("*.converted.safetensors"))


def test_a_converted_copy_is_kept_and_read(folder, monkeypatch):
    first, sha256 = load_clap(folder / "clap.pt")
    (copy,) = copies(folder)
    assert copy.name == f"clap.{sha256[:16]}.converted.safetensors"
    assert copy.stat().st_mode & 0o444 == 0o444
    monkeypatch.setattr("evaluation.embedders.clap_network.read_laion", None)  # not read again
    second, again = load_clap(folder / "clap.pt")
    same(dict(first.state_dict()), dict(second.state_dict()))
    assert again == sha256


def test_another_file_under_the_name_has_another_copy(folder, small_laion):
    load_clap(folder / "clap.pt")
    content = small_laion()
    content["state_dict"]["module.logit_scale_a"] = torch.tensor(2.5)
    torch.save(content, folder / "clap.pt")
    network, _ = load_clap(folder / "clap.pt")
    assert float(network.logit_scale_a) == 2.5
    assert len(copies(folder)) == 2


@pytest.mark.parametrize("damage", ["cut", "number", "size", "source", "version", "not one"])
def test_a_copy_that_is_not_as_written_is_made_again(folder, small_clap, damage):
    _, sha256 = load_clap(folder / "clap.pt")
    (copy,) = copies(folder)
    good = copy.read_bytes()
    if damage == "cut":
        copy.write_bytes(good[:-100])
    elif damage == "not one":
        copy.write_bytes(b"nothing of the kind")
    elif damage == "size":
        copy.write_bytes(good.replace(b"1e-05", b"1e-06"))
    elif damage == "number":
        copy.write_bytes(good[:-9] + bytes([good[-9] ^ 64]) + good[-8:])
    else:
        about = {"source": sha256, "version": "1", "checksum": "0", "config": "{}"} | {damage: "?"}
        save_file(load_file(copy), copy, about)
    assert read_copy([copy], sha256) is None
    network, _ = load_clap(folder / "clap.pt")
    same(dict(network.state_dict()), dict(small_clap().state_dict()))
    assert copy.read_bytes()[-200:] == good[-200:]
    assert read_copy([copy], sha256) is not None


def test_a_folder_for_copies_can_be_named(folder, tmp_path):
    load_clap(folder / "clap.pt", cache=tmp_path / "new" / "copies")
    assert len(copies(tmp_path / "new" / "copies")) == 1
    assert copies(folder) == []


def test_a_place_that_takes_no_file_is_passed_over(tmp_path):
    """A file where a folder would have to be: nothing can be written below it, by anyone."""
    (tmp_path / "file").touch()
    state = {"a": torch.ones(2)}
    places = [tmp_path / "file" / "x.safetensors", tmp_path / "home" / "x.safetensors"]
    assert write_copy(places, "1" * 64, ({}, state)) == places[1]
    assert write_copy(places[:1], "1" * 64, ({}, state)) is None
    assert read_copy(places, "1" * 64)[1]["a"].tolist() == [1, 1]
    assert read_copy(places, "2" * 64) is None
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "home", "x.safetensors"]
    beside, home = copy_places(tmp_path / "clap.pt", "1" * 64, None)
    assert beside.parent == tmp_path
    assert home.parent == Path("~/.cache/audiogen/converted").expanduser()


def _write_again(place):
    for _ in range(20):
        write_copy([place], "1" * 64, ({}, {"a": torch.arange(10000)}))


def test_several_writers_leave_one_whole_copy(tmp_path):
    place = tmp_path / "x.safetensors"
    writers = [
        multiprocessing.get_context("fork").Process(target=_write_again, args=(place,))
        for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    found = []
    while any(writer.is_alive() for writer in writers):
        found.append(read_copy([place], "1" * 64) if place.exists() else True)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert all(found)
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.fixture
def hub(small_clap, tmp_path):
    """A folder as the hub has it, written by transformers."""
    small_clap().save_pretrained(tmp_path / "hub")
    return tmp_path / "hub"


def test_a_hub_folder_is_what_transformers_reads(hub, make_sound):
    from transformers import ClapModel

    from evaluation.embedders.clap_front import prepare

    network, sha256 = load_clap(hub)
    theirs = ClapModel.from_pretrained(hub).eval()
    same(dict(network.state_dict()), dict(theirs.state_dict()))
    assert len(sha256) == 64
    mels = prepare(
        make_sound(1.0), fusion=False, long="first", short="repeat_then_pad", quantize=False
    )
    with torch.inference_mode():
        expected = theirs.get_audio_features(input_features=mels).pooler_output
    torch.testing.assert_close(embed_audio(network, mels), expected)
    config = (hub / "config.json").read_text()
    (hub / "config.json").write_text(
        config.replace('"drop_path_rate": 0.0', '"drop_path_rate": 0.1')
    )
    assert load_clap(hub)[1] != sha256


def test_a_hub_folder_with_a_pickle(hub, small_clap):
    torch.save(load_file(hub / "model.safetensors"), hub / "pytorch_model.bin")
    (hub / "model.safetensors").unlink()
    same(dict(load_clap(hub)[0].state_dict()), dict(small_clap().state_dict()))


def test_folders_that_are_not_clap_are_refused(hub, tmp_path):
    good = load_file(hub / "model.safetensors")
    bad = {name: tensor for name, tensor in good.items() if name != "logit_scale_a"}
    save_file(bad, hub / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 missing \(logit_scale_a\)"):
        load_clap(hub)
    (hub / "model.safetensors").write_bytes(b"not one")
    with pytest.raises(WeightsError, match=r"model\.safetensors: cut short or damaged"):
        load_clap(hub)
    (hub / "preprocessor_config.json").write_text('{"frequency_min": 0, "hop_length": 480}')
    with pytest.raises(
        WeightsError, match="another front end than CLAP's: frequency_min 0 instead"
    ):
        load_clap(hub)
    (hub / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"config\.json and model\.safetensors or"):
        load_clap(hub)
    for text in ('{"model_type": "t5"}', "[1]", "{"):
        (hub / "config.json").write_text(text)
        with pytest.raises(WeightsError):
            load_clap(hub)
    for wrong, message in (
        (tmp_path, r"expected a folder of CLAP with config\.json and model\.safetensors or"),
        (tmp_path / "model.safetensors", "give the folder that holds it"),
        (Path("laion/clap-htsat-unfused"), "no such file or folder.* fetched by `hf download`"),
    ):
        with pytest.raises(WeightsError, match=message):
            load_clap(wrong)


def test_loading_moves_no_random_stream(folder):
    before = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002
    load_clap(folder / "clap.pt")
    load_clap(folder / "clap.pt")
    assert before == (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist())  # noqa: NPY002

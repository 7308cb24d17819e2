"""Files that are not what they should be: named, and never run."""

import contextlib
import os
import pickle
import warnings
import zipfile

import pytest
import torch

from audiogen.model_folder.layout import CheckpointError
from audiogen.released import export_released, load_released
from audiogen.released.archive import read_archive


class Calls:
    """Pickles as a call of whatever it is given."""

    def __init__(self, function, *args) -> None:
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def touch(marker):
    return Calls(os.system, f"touch {marker}")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("inside", ["best_state", "xp.cfg", "anything"])
def test_a_pickle_that_wants_a_command_is_refused_by_its_name(tmp_path, protocol, inside):
    marker = tmp_path / "ran"
    package = {"best_state": {}, "xp.cfg": "a: 1"} | {inside: touch(marker)}
    torch.save(package, tmp_path / "evil.bin", pickle_protocol=protocol)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CheckpointError, match=r"evil.bin wants .*posix.system.* to be called"):
            load_released(tmp_path / "evil.bin")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Calls(eval, "1"), "builtins.eval"),
        (Calls(getattr, dict, "get"), "builtins.getattr"),
        (Calls(torch.hub.load, "x", "y"), "torch.hub.load"),
        (Calls(torch.load, "x"), "torch.serialization.load"),
        (Calls(__import__, "os"), "builtins.__import__"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("in_zip", [True, False])
def test_other_calls_too(tmp_path, call, name, protocol, in_zip):
    package = {"best_state": {"a": call, "b": torch.zeros(2, dtype=torch.bfloat16)}}
    file = tmp_path / "evil.bin"
    torch.save(package, file, pickle_protocol=protocol, _use_new_zipfile_serialization=in_zip)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one line is enough
        with pytest.raises(CheckpointError, match=r"evil.bin wants .* refused") as caught:
            read_archive(file)
    wanted = str(caught.value).partition(" wants ")[2].partition(" to be called")[0]
    assert {n.removeprefix("builtins.") for n in wanted.split(", ")} == {
        name.removeprefix("builtins.")
    }


def test_torchs_advice_to_drop_the_safeguard_is_not_passed_on(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"\x80\x02" * 50)
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        read_archive(tmp_path / "x.bin")
    assert "weights_only" not in str(caught.value)


def test_a_bare_pickle_is_refused_too(tmp_path):
    marker = tmp_path / "ran"
    for protocol in (2, 4):
        (tmp_path / "evil.bin").write_bytes(pickle.dumps({"best_state": touch(marker)}, protocol))
        with pytest.raises(CheckpointError, match=r"posix.system.* refused"):
            read_archive(tmp_path / "evil.bin")
    assert not marker.exists()


def test_a_class_with_a_stolen_name_does_not_become_one(tmp_path):
    """What claims to be of OmegaConf is a stand-in, whatever it is called with."""

    class Stolen:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    data = pickle.dumps({"xp.cfg": Stolen(), "best_state": {}}, 2)
    data = data.replace(b"cposix\nsystem\n", b"comegaconf.dictconfig\nDictConfig\n")
    package = {"xp.cfg": "x", "best_state": {}}
    torch.save(package, tmp_path / "a.bin")
    replaced = tmp_path / "b.bin"
    with zipfile.ZipFile(tmp_path / "a.bin") as old, zipfile.ZipFile(replaced, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name.endswith("data.pkl") else old.read(name))
    assert type(read_archive(replaced)["xp.cfg"]).__name__ == "Note"
    assert not (tmp_path / "ran").exists()


def test_torch_forgets_the_stand_ins_afterwards(publish):
    before = set(torch.serialization.get_safe_globals())  # torch keeps them without an order
    read_archive(publish())
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_short(publish, share):
    path = publish()
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match=r"codec.bin .*(cut short|damaged|cannot be read)"):
        load_released(path)


def test_one_flipped_bit_in_a_tensor(publish):
    path = publish()
    with zipfile.ZipFile(path) as archive:
        record = max(archive.infolist(), key=lambda r: r.file_size * ("/data/" in r.filename))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive, archive.open(record) as file:
        content = file.read()
    data[data.index(content) + 5] ^= 4
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"1 of \d+ records are not what was written"):
        load_released(path)


def test_a_file_written_without_check_sums(plain, config, publish):
    expected = load_released(publish()).fingerprint()
    torch.serialization.set_crc32_options(False)
    try:
        path = publish(name="unsummed.bin")
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_released(path).fingerprint() == expected


def test_a_file_packed_again_with_compression(publish, tmp_path):
    """Its tensors cannot be mapped: what lies in the file is not what they are."""
    path, packed = publish(), tmp_path / "packed.bin"
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(packed, "w", compression=zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert load_released(packed).fingerprint() == load_released(path).fingerprint()


def test_the_format_before_zip(plain, config, tmp_path, xp_cfg, publish):
    package = {"best_state": plain(config()).state_dict(), "xp.cfg": xp_cfg}
    torch.save(package, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    expected = load_released(publish()).fingerprint()
    assert load_released(tmp_path / "old.bin").fingerprint() == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"once upon a time", "is not a file of torch.save"),
        (b"PK\x05\x06" + b"\0" * 18, "cannot be read"),
        (b"PK\x03\x04 and nothing", "cut short or damaged"),
        (b"\x80\x02]q\x00.", "cannot be read"),
        (bytes(range(128, 256)), "cannot be read"),
        (b"{}", "is not a file of torch.save"),
    ],
)
def test_files_of_other_kinds(tmp_path, data, message):
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        read_archive(tmp_path / "x.bin")


def test_a_safetensors_file(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "codec.safetensors")
    with pytest.raises(CheckpointError, match="is a safetensors file: give the folder"):
        load_released(tmp_path / "codec.safetensors")


def test_a_script_module(tmp_path):
    module = torch.jit.script(torch.nn.Linear(2, 2))
    module.save(tmp_path / "script.bin")
    with pytest.raises(CheckpointError, match=r"script.bin (cannot be read|wants)"):
        read_archive(tmp_path / "script.bin")


def test_a_tensor_alone(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "x.bin")
    with pytest.raises(CheckpointError, match="holds a Tensor instead of a dict"):
        read_archive(tmp_path / "x.bin")


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*missing\.bin"):
        load_released(tmp_path / "missing.bin")
    with pytest.raises(FileNotFoundError, match=r"holds no compression_state_dict.bin .*nothing"):
        load_released(tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_noise_in_a_file_is_an_error_or_harmless(publish, seed):
    """Random bytes of a whole file are overwritten: never another exception, never NaN."""
    path = publish()
    data = bytearray(path.read_bytes())
    generator = torch.Generator().manual_seed(seed)
    for place in torch.randint(len(data), (40,), generator=generator).tolist():
        data[place] = (data[place] + 1 + seed) % 256
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"codec\.bin"):
        load_released(path)


@pytest.mark.parametrize("seed", range(30))
def test_noise_in_the_pickle_alone(publish, seed, tmp_path):
    """With right check sums, as a hostile file has them."""
    path, noisy = publish(), tmp_path / "noisy.bin"
    generator = torch.Generator().manual_seed(seed)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(noisy, "w") as new:
        for name in old.namelist():
            content = bytearray(old.read(name))
            if name.endswith("data.pkl"):
                for place in torch.randint(len(content), (3,), generator=generator).tolist():
                    content[place] = int(torch.randint(256, (), generator=generator))
            new.writestr(name, bytes(content))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(CheckpointError):
            codec = load_released(noisy)
            assert all(value.isfinite().all() for value in codec.parameters())


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.bin")
    with pytest.raises(FileNotFoundError):
        load_released(tmp_path / "pipe.bin")


@pytest.mark.parametrize("kind", ["before zip", "unsummed"])
def test_a_file_without_check_sums_is_named_once(caplog, publish, kind):
    path = publish()
    load_released(path)
    assert not caplog.records
    package = torch.load(path, weights_only=True)
    torch.serialization.set_crc32_options(kind != "unsummed")
    try:
        torch.save(package, path, _use_new_zipfile_serialization=kind == "unsummed")
    finally:
        torch.serialization.set_crc32_options(True)
    codec = load_released(path)
    load_released(path)
    (said,) = caplog.messages
    assert f"{path} holds no check sums" in said
    assert "write it anew" in said
    caplog.clear()
    load_released(export_released(codec, path.with_name("anew.bin")))
    assert not caplog.records

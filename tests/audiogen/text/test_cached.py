import copy
import logging
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import time

import pytest
import torch

from audiogen.text import TextEncoder
from audiogen.text.cached import CachedEncoder, with_cache
from audiogen.text.hashed import HashedEncoder
from audiogen.text.state_file import StateFile
from audiogen.text.t5 import T5Encoder

CAPTIONS = ["a dog barks", None, "rain on a tin roof while thunder rumbles", "", "a dog barks"]


@pytest.fixture
def encoder(t5_folder):
    return T5Encoder(name=str(t5_folder), lazy=True)


def refuse(*_):
    raise AssertionError("the network was asked for")


def without_network(encoder):
    """An encoder that has all but its weights."""
    encoder.load = refuse
    return encoder


def test_states_are_those_of_the_encoder_bit_by_bit(encoder, tmp_path):
    cached = CachedEncoder(encoder, folder=tmp_path)
    assert isinstance(cached, TextEncoder)
    again = CachedEncoder(copy.deepcopy(encoder), folder=tmp_path)
    for one in (cached, cached, again):  # computed, then read, then read by another
        states, mask = one.encode(CAPTIONS)
        assert mask.sum(dim=1).tolist() == encoder.encode(CAPTIONS)[1].sum(dim=1).tolist()
        assert (states[~mask] == 0).all()
        for item, caption in enumerate(CAPTIONS):
            fresh, of_fresh = encoder.encode([caption])
            assert torch.equal(states[item][mask[item]], fresh[of_fresh])
        torch.testing.assert_close(states, encoder.encode(CAPTIONS)[0])


def test_states_do_not_depend_on_who_asked_first_and_with_whom(encoder, tmp_path):
    together = CachedEncoder(encoder, folder=tmp_path / "a")
    apart = CachedEncoder(encoder, folder=tmp_path / "b")
    for caption in reversed(CAPTIONS):
        apart.encode([caption])
    assert torch.equal(together.encode(CAPTIONS)[0], apart.encode(CAPTIONS)[0])


def test_the_weights_are_not_loaded_when_all_is_there(encoder, t5_folder, tmp_path):
    expected = CachedEncoder(encoder, folder=tmp_path).encode(CAPTIONS)
    other = without_network(T5Encoder(name=str(t5_folder), lazy=True))
    found = CachedEncoder(other, folder=tmp_path).encode(CAPTIONS)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    with pytest.raises(AssertionError, match="was asked for"):
        CachedEncoder(other, folder=tmp_path).encode(["a new caption"])


def test_no_caption_at_all_asks_for_nothing(encoder, tmp_path):
    cached = CachedEncoder(without_network(encoder), folder=tmp_path / "states")
    states, mask = cached.encode([None, "", {"description": ""}])
    assert (states.shape, mask.any().item()) == ((3, 1, 32), False)
    assert not states.any()
    assert not (tmp_path / "states").exists()


def test_every_caption_is_computed_once(encoder, tmp_path, monkeypatch):
    cached, seen = CachedEncoder(encoder, folder=tmp_path), []
    tokenize = encoder.tokenize
    monkeypatch.setattr(encoder, "tokenize", lambda texts: seen.append(texts) or tokenize(texts))
    for _ in range(3):
        cached.encode(CAPTIONS)
        cached.encode([*CAPTIONS, "rain", {"description": "rain"}])
    assert seen == [["a dog barks"], ["rain on a tin roof while thunder rumbles"], ["rain"]]
    assert cached.file.count() == 3


def test_another_encoder_never_reads_them(encoder, t5_folder, tmp_path):
    """Other weights, another tokenizer, other keywords: each has a file of its own."""
    changed = tmp_path / "t5_tiny"  # of the same name
    shutil.copytree(t5_folder, changed)
    files = {CachedEncoder(encoder, folder=tmp_path).file.path}
    for other in (
        T5Encoder(name=str(t5_folder), lowercase=True),
        T5Encoder(name=str(t5_folder), max_tokens=7),
    ):
        files.add(CachedEncoder(other, folder=tmp_path).file.path)
    files.add(CachedEncoder(encoder, folder=tmp_path, dtype="float16").file.path)
    for name in ("model.safetensors", "tokenizer.json"):
        content = bytearray((changed / name).read_bytes())
        content[-20] ^= 1
        (changed / name).write_bytes(content)
        other = T5Encoder(name=str(changed), lazy=True)
        files.add(CachedEncoder(other, folder=tmp_path).file.path)
    assert len(files) == 6


def test_a_folder_that_has_moved_finds_its_states(encoder, t5_folder, tmp_path):
    cached = CachedEncoder(encoder, folder=tmp_path / "states")
    moved = shutil.copytree(t5_folder, tmp_path / "elsewhere")
    other = CachedEncoder(T5Encoder(name=str(moved), lazy=True), folder=tmp_path / "states")
    assert other.encoder.identity() == cached.encoder.identity()


def test_a_damaged_entry_is_computed_again(encoder, tmp_path, caplog):
    cached = CachedEncoder(encoder, folder=tmp_path)
    expected = cached.encode(CAPTIONS)[0]
    for broken in (b"nonsense", cached.file.path.read_bytes().replace(b"float32", b"float23")):
        cached.file.path.write_bytes(broken)
        with caplog.at_level(logging.WARNING):
            assert torch.equal(cached.encode(CAPTIONS)[0], expected)
        assert "damaged" in caplog.text
        caplog.clear()
        assert torch.equal(cached.encode(CAPTIONS)[0], expected)
        assert not caplog.records


def test_half_precision_is_the_same_when_computed_and_when_read(encoder, tmp_path):
    cached = CachedEncoder(encoder, folder=tmp_path, dtype="float16")
    first, mask = cached.encode(CAPTIONS)
    assert torch.equal(cached.encode(CAPTIONS)[0], first)
    exact = encoder.encode(CAPTIONS)[0]
    assert 0 < ((first - exact).abs() / exact.abs().clamp(min=1e-3))[mask].max() < 2**-10
    assert first.dtype == torch.float32


def test_a_cache_that_cannot_be_written_costs_time_only(encoder, tmp_path, caplog):
    (tmp_path / "in the way").write_text("")
    cached = CachedEncoder(encoder, folder=tmp_path / "in the way")
    for _ in range(2):
        torch.testing.assert_close(cached.encode(CAPTIONS), encoder.encode(CAPTIONS))
    assert caplog.text.count("cannot be written") == 1


def test_goes_where_its_model_goes(encoder, tmp_path):
    inside = torch.nn.ModuleDict({"text": CachedEncoder(encoder, folder=tmp_path)})
    assert not inside.state_dict()
    assert not list(inside.parameters())
    inside.to(torch.bfloat16)
    assert inside["text"].encode(CAPTIONS)[0].dtype == torch.float32
    inside.to("meta")
    states, mask = inside["text"].encode(CAPTIONS)
    assert states.device.type == mask.device.type == "meta"


def test_is_copied_and_sent_to_processes(encoder, tmp_path):
    cached = CachedEncoder(encoder, folder=tmp_path)
    expected = cached.encode(CAPTIONS)[0]
    for other in (copy.deepcopy(cached), pickle.loads(pickle.dumps(cached))):
        assert torch.equal(other.encode(CAPTIONS)[0], expected)
    cached.encode(["before the fork"])
    process = multiprocessing.get_context("fork").Process(
        target=lambda: cached.encode(["a", "b", "before the fork"])
    )
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert cached.file.count() == 5


def test_strange_captions(encoder, tmp_path):
    cached = CachedEncoder(encoder, folder=tmp_path)
    captions = ["\ud800", "?", "🐕", "\x00", " ", "dog " * 25_000]
    for _ in range(2):
        states, mask = cached.encode(captions)
        assert mask.sum(dim=1).tolist()[-1] == 512
        torch.testing.assert_close(states, encoder.encode(captions)[0], rtol=1e-4, atol=1e-5)
    assert cached.file.count() == 6
    with pytest.raises(ValueError, match="caption 1 must be a string or None, got int"):
        cached.encode(["rain", 7])


def test_refuses_what_has_no_states_to_keep(encoder, tmp_path):
    with pytest.raises(ValueError, match=r"frozen, pretrained encoder .* got HashedEncoder"):
        CachedEncoder(HashedEncoder(dim=8), folder=tmp_path)
    with pytest.raises(ValueError, match="one of float32, float16, got 'int8'"):
        CachedEncoder(encoder, folder=tmp_path, dtype="int8")
    assert with_cache(encoder, cache=None) is encoder


def test_model_folders_name_the_encoder_alone(encoder, tmp_path):
    assert CachedEncoder(encoder, folder=tmp_path).config == encoder.config


def key(number):
    return number.to_bytes(32, "little")


def value(number):
    return torch.full((40, 32), float(number))


def write_forever(file, first):
    number = first
    while True:
        file.write({key(number + i): value(number + i) for i in range(4)})
        number += 4


def test_writers_that_are_killed_leave_whole_entries(tmp_path, caplog):
    """Two processes write at once and are killed in the middle, again and again."""
    file = StateFile(tmp_path / "states.sqlite", dtype="float32")
    fork = multiprocessing.get_context("fork")
    written = 0
    for attempt in range(4):
        starts = [100_000 * (2 * attempt + i) for i in range(2)]
        writers = [fork.Process(target=write_forever, args=(file, start)) for start in starts]
        for writer in writers:
            writer.start()
        time.sleep(0.15 + 0.01 * attempt)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
        for start in starts:
            found = file.read([key(start + i) for i in range(5000)])
            numbers = sorted(int.from_bytes(k, "little") for k in found)
            assert numbers == list(range(start, start + len(numbers)))  # none in between is lost
            assert len(numbers) % 4 == 0  # all of a write, or none
            assert all(torch.equal(found[key(n)], value(n)) for n in numbers)
            written += len(numbers)
    assert written == file.count() > 0
    assert not caplog.records


def most_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # bytes


def write_and_read_a_lot(path):
    file, states = StateFile(path, dtype="float32"), torch.ones(64, 1024)
    file.write({key(0): states})
    before = most_memory()
    for number in range(1, 200):
        file.write({key(number): states})
    for number in range(200):
        assert file.read([key(number)]).keys() == {key(number)}
    assert path.stat().st_size > 200 * states.nbytes
    assert most_memory() - before < 50 * states.nbytes


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "states.sqlite"
    fork = multiprocessing.get_context("fork")  # a process of its own has a peak of its own
    process = fork.Process(target=write_and_read_a_lot, args=(path,))
    process.start()
    process.join(120)
    assert process.exitcode == 0

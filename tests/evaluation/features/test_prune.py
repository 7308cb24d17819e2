"""Making room in a cache: the least recently used go first, and nobody beside it is harmed."""

import multiprocessing
import os
import time

import pytest
import torch

from evaluation.__main__ import main
from evaluation.features.cache import FeatureCache, entry_key
from evaluation.features.command import size_text
from evaluation.features.prune import choose_entries, list_entries, remove_entries
from evaluation.suite import evaluate

DAY = 24 * 3600
PROCESSES = multiprocessing.get_context("fork")


def features(number, windows=50):
    return {"embedding": torch.full((windows, 128), float(number))}


def filled(folder, ages):
    """Write an entry for each age in days; return the cache, and the keys by age."""
    cache, keys = FeatureCache(folder), {}
    for age in ages:
        key = keys[age] = entry_key({"age": age})
        cache.put(key, features(age), {})
        used = time.time() - age * DAY
        os.utime(cache.path(key), (used, used))
    return cache, keys


def code_of(words):
    try:
        return main(words)
    except SystemExit as left:  # as argparse leaves
        return left.code


def ages_left(cache, keys):
    return {age for age, key in keys.items() if cache.path(key).exists()}


def test_it_shows_number_size_and_age_and_removes_nothing(tmp_path, capsys):
    cache, keys = filled(tmp_path / "c", [1, 40, 3])
    size = sum(cache.path(key).stat().st_size for key in keys.values())
    assert main(["cache", str(tmp_path / "c")]) == 0
    out, err = capsys.readouterr()
    folder, entries, oldest = out.splitlines()
    assert folder == f"folder   {tmp_path / 'c'}"
    assert entries == f"entries  3, {size_text(size)}"
    assert oldest.endswith(", 40.0 days ago")
    assert err == ""
    assert ages_left(cache, keys) == {1, 40, 3}


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--prune", "30"], {1, 3, 20}),
        (["--prune", "2.5"], {1}),
        (["--prune", "0"], set()),
        (["--prune", "365"], {1, 3, 20, 40}),
        (["--limit", "60kB"], {1, 3}),  # of 26 kB each
        (["--limit", "0"], set()),
        (["--limit", "5GB"], {1, 3, 20, 40}),
        (["--limit", "85KB", "--prune", "10"], {1, 3}),
        (["--limit", "30 kb", "--prune", "10"], {1}),
        (["--clear"], set()),
    ],
)
def test_the_least_recently_used_go_first(tmp_path, capsys, options, left):
    cache, keys = filled(tmp_path, [20, 1, 40, 3])
    assert main(["cache", str(tmp_path), *options]) == 0
    assert ages_left(cache, keys) == left
    removed, _, entries, *_ = capsys.readouterr().out.splitlines()
    assert removed.startswith(f"removed  {4 - len(left)}, ")
    assert entries.startswith(f"entries  {len(left)}, ")


def test_what_is_read_is_used(tmp_path):
    cache, keys = filled(tmp_path, [20, 30, 40])
    assert torch.equal(cache.get(keys[40])["embedding"], features(40)["embedding"])
    assert [entry.path for entry in list_entries(tmp_path)] == [
        cache.path(keys[age]) for age in (30, 20, 40)
    ]
    assert [entry.path for entry in choose_entries(list_entries(tmp_path), days=10)] == [
        cache.path(keys[age]) for age in (30, 20)
    ]


def test_an_evaluation_uses_what_it_finds_and_does_without_what_is_gone(folders, tmp_path):
    given = {"protocol": "demo", "cache": tmp_path / "c", "sanity": False}
    before = evaluate(*folders, **given).to_dict()
    entries = list_entries(tmp_path / "c")
    assert len(entries) == 24
    for entry in entries:
        os.utime(entry.path, (0, 0))
    assert evaluate(*folders, **given).to_dict() == before
    assert choose_entries(list_entries(tmp_path / "c"), days=1) == []
    remove_entries(list_entries(tmp_path / "c"))
    assert evaluate(*folders, **given).to_dict() == before
    assert len(list_entries(tmp_path / "c")) == 24


def test_what_is_used_after_it_was_listed_stays(tmp_path):
    cache, keys = filled(tmp_path, [20, 30, 40])
    entries = list_entries(tmp_path)
    cache.get(keys[30])
    cache.path(keys[40]).unlink()  # another process was first
    assert [entry.path for entry in remove_entries(entries)] == [cache.path(keys[20])]
    assert ages_left(cache, keys) == {30}


def test_folders_and_links_named_like_entries_are_left_alone(tmp_path, capsys):
    cache, keys = filled(tmp_path / "cache", [1, 2])
    elsewhere, path = tmp_path / "elsewhere", cache.path(keys[2])
    path.unlink()
    path.mkdir()  # a folder in the place of an entry
    elsewhere.mkdir()
    name = "ab" + path.name[2:]
    (elsewhere / name).write_bytes(b"mine")
    (tmp_path / "cache" / "ab").symlink_to(elsewhere)
    assert main(["cache", str(tmp_path / "cache"), "--clear"]) == 0
    assert "removed  1," in capsys.readouterr().out
    assert path.is_dir()
    assert (elsewhere / name).read_bytes() == b"mine"


def test_files_that_are_no_entries_are_left_alone(tmp_path):
    cache, keys = filled(tmp_path, [1])
    name = cache.path(keys[1]).name
    others = [
        tmp_path / "model.safetensors",
        tmp_path / "ab" / "model.safetensors",
        tmp_path / "zz" / name,
        cache.path(keys[1]).parent / ".unfinished-1",
        cache.path(keys[1]).with_suffix(".txt"),
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"mine")
    assert main(["cache", str(tmp_path), "--clear"]) == 0
    assert ages_left(cache, keys) == set()
    assert all(path.read_bytes() == b"mine" for path in others)


def use_for_ever(folder, turns, harmed):
    """Write and read the same few entries over and over, whatever is removed meanwhile."""
    torch.set_num_threads(1)
    cache = FeatureCache(folder)
    try:
        while True:
            for number in range(20):
                key = entry_key({"number": number})
                cache.put(key, features(number), {})
                read = cache.get(key)
                if read is not None and not torch.equal(
                    read["embedding"], features(number)["embedding"]
                ):
                    raise ValueError(f"entry {number} is another one")
                turns.value += 1
    except BaseException as error:
        harmed.put(repr(error))
        raise


def test_removing_beside_running_processes_harms_none(tmp_path):
    turns, harmed = PROCESSES.Value("i"), PROCESSES.Queue()
    users = [
        PROCESSES.Process(target=use_for_ever, args=(tmp_path, turns, harmed)) for _ in range(2)
    ]
    for user in users:
        user.start()
    removed, end = 0, time.monotonic() + 60
    while (removed < 100 or turns.value < 200) and time.monotonic() < end and harmed.empty():
        removed += len(remove_entries(list_entries(tmp_path)))
    for user in users:
        user.kill()
        user.join()
    assert harmed.empty()
    assert removed >= 100
    assert turns.value >= 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["--clear", "--prune", "3"], "pass one or the other"),
        (["--prune", "soon"], "expected a number of days, 0 or more, got 'soon'"),
        (["--prune", "-1"], "number of days"),
        (["--prune", "inf"], "number of days"),
        (["--limit", "much"], "expected a size such as 5GB (kB, MB, GB, TB), got 'much'"),
        (["--limit", "-3"], "limit"),
        (["", "--clear"], "the folder has no name"),
    ],
)
def test_mistakes_are_one_line(options, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert code_of(["cache", *options]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_cache_that_was_never_used_is_empty(capsys, tmp_path):
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "entries  0, 0 bytes"
    assert not (tmp_path / "default-cache").exists()

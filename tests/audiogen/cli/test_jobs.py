"""Which files are there already, without reading the sounds."""

import json

import pytest
import torch

from audiogen.audio import audio_info, write_audio
from audiogen.cli import jobs
from audiogen.cli.jobs import plan, split_done
from audiogen.cli.prompts import Prompt

SETTINGS = {"duration": 1.0, "guidance_scale": 3.0}


def prompt(number, **changes):
    return Prompt(**({"text": "rain", "seed": number, "item": 0, "name": f"a{number}"} | changes))


def planned(prompts, out, suffix=".wav", **settings):
    return plan(prompts, out, SETTINGS | settings, model_hash="f", suffix=suffix)


def write(job, *, size=8):
    job.path.parent.mkdir(exist_ok=True)
    job.path.write_bytes(b"x" * size)
    record = {**job.identity, "file": job.path.name, "bytes": size, "samples": 3}
    job.record.write_text(json.dumps(record))


def test_a_thousand_records_are_compared_by_size(tmp_path, monkeypatch):
    """These sounds are no sounds: a header that was read would not be one."""
    monkeypatch.setattr(jobs, "audio_info", lambda _: pytest.fail("a header was read"))
    whole = planned([prompt(number) for number in range(1000)], tmp_path)
    for job in whole[::2]:
        write(job)
    done, todo = split_done(whole, tmp_path)
    assert done == whole[::2]
    assert todo == whole[1::2]


def test_a_sound_with_other_tags_is_whole_and_half_a_sound_is_not(tmp_path):
    (job,) = planned([prompt(1)], tmp_path)
    write_audio(job.path, torch.zeros(1, 800), 16000)
    record = {**job.identity, "file": job.path.name, "bytes": 1, "samples": 800}
    job.record.write_text(json.dumps(record))
    assert split_done([job], tmp_path) == ([job], [])
    job.path.write_bytes(job.path.read_bytes()[:200])
    assert audio_info(job.path).frames < 800
    assert split_done([job], tmp_path) == ([], [job])


def test_what_is_asked_for_twice_is_one_file(tmp_path):
    twins = [prompt(1, name=None), prompt(1, name=None), prompt(2, name=None)]
    assert len(planned(twins, tmp_path)) == 2


def test_a_row_has_its_own_settings_and_the_others_share_theirs(tmp_path):
    rows = [prompt(1, duration=2.5), prompt(2), prompt(3, guidance_scale=1.0), prompt(4)]
    found = planned(rows, tmp_path)
    assert [job.settings["duration"] for job in found] == [2.5, 1.0, 1.0, 1.0]
    assert [job.settings["guidance_scale"] for job in found] == [3.0, 3.0, 1.0, 3.0]
    assert found[1].settings is found[3].settings


def test_another_format_of_a_name_is_refused_while_the_first_is_there(tmp_path):
    (first,) = planned([prompt(1)], tmp_path)
    (other,) = planned([prompt(1)], tmp_path, suffix=".flac", format="flac")
    write(first)
    with pytest.raises(ValueError, match=r"a1\.wav was made with another .* or format"):
        split_done([other], tmp_path)
    first.path.unlink()
    assert split_done([other], tmp_path) == ([], [other])


def test_a_folder_that_is_not_there(tmp_path):
    (job,) = planned([prompt(1)], tmp_path / "none")
    assert split_done([job], tmp_path / "none") == ([], [job])

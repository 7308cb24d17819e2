"""Other words for the same clips."""

import json

import pytest

from audiogen.data.manifest import read_manifest
from audiogen.data.synthetic_captions import captions
from audiogen.data.synthetic_phrases import vocabulary
from audiogen.text.hashed import split_words
from recipes.datasets.synthetic import prepare
from recipes.embedded.captions import main, recaption


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    return prepare(folder, clips={"train": 24, "valid": 0, "test": 24}, duration=1.0, seed=1)


@pytest.fixture(scope="module")
def clips(manifest):
    return list(read_manifest(manifest))


def test_training_clips_keep_their_sentences_and_get_more(clips):
    changed = recaption(clips, phrases=12, seed=1)
    for before, after in zip(clips, changed, strict=True):
        assert (before.id, before.path, before.labels) == (after.id, after.path, after.labels)
        if before.split == "train":
            assert after.captions[:4] == before.captions
            assert len(after.captions) == 16
    words = [w for c in changed for t in c.captions for w in split_words(t)]
    noise = [word for word in words if word not in vocabulary()]
    assert 30 < len(noise) < 120, "a quarter of 24 times 12 sentences has one"


def test_every_other_dozen_of_the_test_clips_has_other_words(clips):
    tested = [clip for clip in recaption(clips, phrases=1, seed=1) if clip.split == "test"]
    before = [clip for clip in clips if clip.split == "test"]
    assert [clip.captions for clip in tested[:12]] == [clip.captions for clip in before[:12]]
    assert all(a.captions != b.captions for a, b in zip(tested[12:], before[12:], strict=True))
    assert all(len(clip.captions) == 1 for clip in tested)


def test_no_training_sentence_is_one_for_testing(clips):
    changed = recaption(clips, phrases=200, seed=1)
    trained = {text for clip in changed if clip.split == "train" for text in clip.captions}
    tested = {text for clip in changed if clip.split == "test" for text in clip.captions}
    assert not trained & tested


def test_a_clip_has_its_words_whatever_stands_beside_it(clips):
    alone = recaption(clips[5:6], phrases=3, seed=1)
    assert alone == recaption(clips, phrases=3, seed=1)[5:6]
    assert alone != recaption(clips[5:6], phrases=3, seed=2)


def test_it_writes_a_second_manifest_beside_the_first(manifest, capsys):
    before = manifest.read_bytes()
    assert main(["--manifest", str(manifest), "--phrases", "2"]) == 0
    written = manifest.with_name("captioned.jsonl")
    assert capsys.readouterr().out.strip() == str(written)
    assert len(list(read_manifest(written))) == 48
    assert manifest.read_bytes() == before


def test_clips_of_another_origin_are_refused(manifest, tmp_path, capsys):
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[0]["labels"] = {"class": "cat"}
    other = manifest.with_name("other.jsonl")
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["--manifest", str(other)]) == 2
    assert "train-00000-rain is no procedural sound" in capsys.readouterr().err
    assert main(["--manifest", str(tmp_path / "none.jsonl")]) == 2


def test_the_captions_of_the_demo_are_as_they_were(clips):
    for clip in clips:
        attributes = {k: v for k, v in clip.labels.items() if k != "family"}
        from audiogen.data.synthetic import Sound

        sound = Sound(family=clip.labels["family"], attributes=attributes)
        assert set(clip.captions) <= set(captions(sound, held_out=clip.split == "test"))

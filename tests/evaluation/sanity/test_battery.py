"""The sanity battery: who is in it, at which N, and what it flags."""

import json
import math

import numpy as np
import pytest
import soundfile
import torch

from evaluation import evaluate
from evaluation.preparation.sound import Sound
from evaluation.protocols.card import load_protocol
from evaluation.sanity.battery import (
    HALVES,
    NOISE,
    ROUND_TRIP,
    SHUFFLED,
    SILENCE,
    SYSTEM,
    find_flags,
)
from evaluation.sanity.made_sounds import silence, white_noise


@pytest.fixture
def tones(tmp_path):
    """Twelve tones, and the same with a little noise: a system that is good."""
    folders = tmp_path / "reference", tmp_path / "generated", tmp_path / "trips"
    for folder in folders:
        folder.mkdir()
    write_tones(folders, range(12))
    return folders


def write_tones(folders, numbers):
    times = np.arange(20000) / 16000
    for i in numbers:
        tone = 0.3 * np.sin(2 * np.pi * 150 * 2 ** (i / 3) * times)
        noise = np.random.default_rng(i).standard_normal(20000)
        for folder, level in zip(folders, (0.0, 0.01, 0.001), strict=True):
            soundfile.write(folder / f"clip{i:02d}.wav", tone + level * noise, 16000)


@pytest.fixture
def score(tones, captions, tiny):
    def call(**options):
        given = {"captions": captions, "weights": tiny.weights} | options
        card = given.get("protocol", load_protocol("audiocraft"))
        given["protocol"] = card.changed("bootstrap.resamples", 10)
        return evaluate(*tones[:2], **given)

    return call


def test_all_systems_are_scored_at_one_number_of_pairs(score, tones):
    report = score(round_trips=tones[2])
    assert list(report.sanity) == [SYSTEM, SILENCE, NOISE, HALVES, SHUFFLED, ROUND_TRIP]
    battery = dict(report.data["sanity"])
    few = battery.pop("no_flags")
    assert battery == {"pairs": 6, "of": 12, "seed": 2036, "failed": {}}
    assert few == "6 pairs are too few for flags, which take 8"
    assert "sanity battery: 6 of 12 pairs, drawn with seed 2036" in report.to_text()
    assert few in report.to_text()
    assert {"fad_vggish", "kld_passt", "clap_score"} <= report.sanity[SILENCE].keys()
    assert "level_difference_db" not in report.sanity[SYSTEM]  # it ranks nothing
    assert set(report.sanity[SHUFFLED]) == {"kld_passt", "clap_score"}  # only these see pairs


def test_a_good_system_is_between_its_round_trip_and_noise(score, tones):
    sanity = score(round_trips=tones[2]).sanity
    for key in ("fad_vggish", "kld_passt"):
        order = [sanity[system][key] for system in (ROUND_TRIP, SYSTEM, NOISE, SILENCE)]
        assert order[0] < order[1] < min(order[2:])
    assert sanity[SYSTEM]["kld_passt"] < sanity[SHUFFLED]["kld_passt"]


def test_it_is_what_evaluating_these_sounds_gives(score, tones, tmp_path):
    """Silence and noise as files, the same six pairs: the same numbers by the plain way."""
    found = score(metrics=["fad_vggish", "kld_passt"])
    chosen = sorted(np.random.default_rng(2036).permutation(12)[:6].tolist())
    for folder, maker in (("silence", silence), ("noise", white_noise), ("same", None)):
        reference, other = tmp_path / f"r-{folder}", tmp_path / folder
        reference.mkdir(), other.mkdir()
        for i in chosen:
            name = f"clip{i:02d}"
            samples, rate = soundfile.read(tones[0] / f"{name}.wav", dtype="float32")
            sound = Sound(waveform=torch.from_numpy(samples)[None], sample_rate=rate)
            soundfile.write(reference / f"{name}.wav", samples, rate, subtype="FLOAT")
            made = soundfile.read(tones[1] / f"{name}.wav", dtype="float32")[0]
            if maker is not None:
                made = maker(sound, name=name).waveform[0].numpy()
            soundfile.write(other / f"{name}.wav", made, rate, subtype="FLOAT")
        card = load_protocol("audiocraft").changed("silence", "score")
        card = card.changed("bootstrap.resamples", 10)
        options = {"metrics": ["fad_vggish", "kld_passt"], "sanity": False}
        plain = evaluate(reference, other, protocol=card, random_weights=True, **options)
        system = {"silence": SILENCE, "noise": NOISE, "same": SYSTEM}[folder]
        for key, value in found.sanity[system].items():
            assert value == pytest.approx(plain.scores[key].value, rel=1e-6), (system, key)


def test_references_stand_in_through_the_chain_of_generated_sounds(tones, tiny):
    """A system of copies of the references is their score of themselves, and all their rows."""
    options = {"metrics": ["fad_vggish", "kld_passt"], "weights": tiny.weights}
    card = load_protocol("audiocraft").changed("bootstrap.resamples", 10)
    for path in tones[0].iterdir():
        (tones[1] / path.name).write_bytes(path.read_bytes())
    copies = evaluate(*tones[:2], protocol=card, **options)
    assert copies.scores["kld_passt"].value > 1e-3  # the level step shows
    details = copies.scores["kld_passt"].details
    assert details["reference_self"] == copies.scores["kld_passt"].value
    fad = copies.scores["fad_vggish"]
    assert fad.details["reference_self"] == fad.value
    for path in tones[1].iterdir():
        samples, rate = soundfile.read(path)
        soundfile.write(path, 0.01 * samples[::-1], rate)
    other = evaluate(*tones[:2], protocol=card, **options)
    assert other.sanity[HALVES] == copies.sanity[HALVES]
    assert other.scores["kld_passt"].details["reference_self"] == details["reference_self"]
    order = np.random.default_rng(2036).permutation(12).tolist()
    plain = {}
    for change in (card, card.changed("generated", [])):  # the other references, by the plain way
        folders = tones[0].parent / "own", tones[0].parent / "others"
        for folder, numbers in zip(folders, (order[:6], order[6:]), strict=True):
            folder.mkdir(exist_ok=True)
            for place, i in enumerate(sorted(numbers)):
                content = (tones[0] / f"clip{i:02d}.wav").read_bytes()
                (folder / f"{place}.wav").write_bytes(content)
        report = evaluate(*folders, protocol=change, sanity=False, **options)
        plain[bool(change.generated)] = {key: s.value for key, s in report.scores.items()}
    assert copies.sanity[HALVES] == pytest.approx(plain[True], rel=1e-5)
    assert copies.sanity[HALVES] != pytest.approx(plain[False], rel=1e-3)


def test_the_seed_alone_decides_who_is_drawn(score):
    card = load_protocol("audiocraft")
    one, same = score(protocol=card), score(protocol=card)
    assert json.dumps(one.to_dict()["sanity"]) == json.dumps(same.to_dict()["sanity"])
    other = score(protocol=card.changed("bootstrap.seed", 7))
    assert other.sanity[SYSTEM] != one.sanity[SYSTEM]
    assert other.data["sanity"]["seed"] == 7


def test_silence_that_scores_better_than_the_system_is_flagged(score, tones):
    """References of near silence: a system of loud noise is farther from them than silence is."""
    for i in range(16):
        noise = np.random.default_rng(100 + i).standard_normal(20000)
        soundfile.write(tones[0] / f"clip{i:02d}.wav", 2e-4 * noise, 16000, subtype="FLOAT")
        soundfile.write(tones[1] / f"clip{i:02d}.wav", 0.1 * noise, 16000)
    report = score(protocol=load_protocol("demo"), metrics=["frechet_logmel_standin"])
    assert report.sanity[SILENCE]["frechet_logmel_standin"] < 50
    assert any(f"ranks {SILENCE} above the scored sounds" in flag for flag in report.flags)
    assert any("above the scored sounds" in line for line in report.to_text().splitlines())
    assert "too few for flags" not in report.to_text()


def test_sounds_that_answer_to_other_captions_are_flagged(score, tones):
    """Every generated sound is that of the next reference: worse than a random order."""
    write_tones(tones, range(12, 16))
    sounds = [soundfile.read(tones[1] / f"clip{i:02d}.wav")[0] for i in range(16)]
    for i in range(16):
        soundfile.write(tones[1] / f"clip{i:02d}.wav", sounds[(i + 8) % 16], 16000)
    report = score(metrics=["kld_passt"], captions=None)
    assert [
        flag
        for flag in report.flags
        if "worse than those of other captions: of other captions " in flag
    ]


@pytest.mark.parametrize(
    ("system", "key", "mine", "value", "flagged"),
    [
        (SILENCE, "fad_vggish", 5.0, 4.0, True),
        (SILENCE, "fad_vggish", 5.0, 6.0, False),
        (NOISE, "clap_score", 0.2, 0.3, True),
        (NOISE, "clap_score", 0.2, 0.1, False),
        (SHUFFLED, "clap_score", 0.2, 0.21, True),
        (HALVES, "fad_vggish", 5.0, 1.0, False),
        (ROUND_TRIP, "fad_vggish", 5.0, 1.0, False),
        (SILENCE, "fad_vggish", 5.0, None, False),
        (SILENCE, "fad_vggish", None, 1.0, False),
    ],
)
def test_flags_go_by_the_metrics_own_direction(system, key, mine, value, flagged):
    table = {SYSTEM: {key: mine}, system: {key: value}}
    assert bool(find_flags(table, titles={key: "the title"}, pairs=50)) == flagged
    flags = find_flags(table, titles={}, pairs=8)
    assert all(", scored sounds " in flag for flag in flags)  # which number is whose
    assert [flag[-12:] for flag in flags] == ["(on 8 pairs)"] * flagged
    assert find_flags(table, titles={}, pairs=7) == []


@pytest.mark.parametrize("value", [0.06413, 0.06409, 0.06411])
def test_a_difference_of_rounding_ranks_nothing_and_is_flagged_as_what_it_is(value):
    for system in (SILENCE, SHUFFLED):
        table = {SYSTEM: {"clap_score": 0.06411}, system: {"clap_score": value}}
        [flag] = find_flags(table, titles={"clap_score": "CLAP"}, pairs=8)
        assert flag.startswith("CLAP cannot tell s")
        assert not any(word in flag for word in ("ranks", "above", "worse"))


def test_too_few_pairs_have_no_battery(score, tones, tmp_path):
    for folder in tones[:2]:
        for i in range(3, 12):
            (folder / f"clip{i:02d}.wav").unlink()
    report = score()
    assert report.sanity == {}
    assert report.data["sanity"] is None
    assert any("sanity battery" in text for text in report.warnings)


def test_without_a_battery_nothing_is_computed_for_it(score, tiny):
    tiny.calls.update(windows=0)
    report = score(sanity=False, metrics=["fad_vggish"])
    assert tiny.calls["windows"] == 36  # both sides, and the references as generated sounds
    assert (report.sanity, report.flags) == ({}, [])


def test_round_trips_must_be_there_for_every_reference(score, tones):
    (tones[2] / "clip03.wav").unlink()
    with pytest.raises(ValueError, match=r"1 of 12 references have no round trip in .*: clip03"):
        score(round_trips=tones[2])
    with pytest.raises(ValueError, match="the same folder"):
        score(round_trips=tones[0])


def test_a_network_that_cannot_take_silence_costs_that_row_alone(score, tiny, monkeypatch):
    whole = tiny.Tiny.windows

    def windows(self, waveform):
        if not waveform.any():
            raise ValueError("nothing to hear")
        return whole(self, waveform)

    monkeypatch.setattr(tiny.Tiny, "windows", windows)
    report = score()
    assert SILENCE not in report.sanity
    assert "nothing to hear" in report.data["sanity"]["failed"][SILENCE]
    assert math.isfinite(report.sanity[NOISE]["fad_vggish"])


def test_round_trips_of_the_codec_card_are_held_against_silence(folders, tmp_path):
    trips = tmp_path / "trips"
    trips.mkdir()
    for i, path in enumerate(sorted(folders[0].iterdir())):
        noise = np.random.default_rng(50 + i).standard_normal(24000)
        sound, rate = soundfile.read(path)
        soundfile.write(trips / path.name, sound + 0.003 * noise, rate)
    report = evaluate(folders[0], trips, protocol="codec", metrics=["si_sdr", "mel_distance"])
    assert report.sanity[SYSTEM]["si_sdr"] == pytest.approx(30, abs=1)
    assert report.sanity[SILENCE]["si_sdr"] is None
    assert report.sanity[NOISE]["si_sdr"] < 0
    assert report.sanity[SYSTEM]["mel_distance"] < report.sanity[SILENCE]["mel_distance"]
    assert report.flags == []


def test_noise_has_the_level_of_its_reference_and_depends_on_its_name_alone():
    tone = torch.sin(torch.arange(16000) * 0.3)[None]
    for gain in (0.5, 0.01):
        sound = Sound(waveform=gain * tone, sample_rate=16000)
        noise = white_noise(sound, name="a")
        level = noise.waveform.square().mean().sqrt()
        assert float(level) == pytest.approx(gain / 2**0.5, rel=0.05)
        assert torch.equal(noise.waveform, white_noise(sound, name="a").waveform)
        assert not torch.equal(noise.waveform, white_noise(sound, name="b").waveform)
    stereo = Sound(waveform=tone.repeat(2, 1), sample_rate=8000)
    assert silence(stereo, name="a").waveform.shape == (1, 16000)

from dataclasses import replace

import pytest
import torch

from audiogen.codec.health import health_of
from recipes.codec_16khz.alarms import BAD, THRESHOLDS, WARNING, alarms, by_class
from recipes.codec_16khz.roundtrip import Scores, score
from recipes.page.inputs import History

EVEN = torch.full((2, 16), 10)
FINE = Scores(si_sdr=5.0, mel_distance=0.5, log_spectral=8.0, level=-1.0)


def health(counts):
    return health_of(counts, frame_rate=50)


def classes(**changed):
    scores = dict.fromkeys("abcd", FINE) | changed
    return by_class(scores, {name: name for name in scores})


def words(counts=EVEN, rows=None):
    return [(a.degree, a.text) for a in alarms(health(counts), rows or classes())]


def test_a_healthy_codec_raises_no_alarm():
    assert words() == []


def test_round_trips_that_are_not_the_sounds_are_bad():
    """Unrelated noise is 10 log10 of its samples below; half noise is the sound still."""
    rng = torch.Generator().manual_seed(0)
    sound, other = torch.randn(2, 1, 1, 16_000, generator=rng) / 10

    def trips(noise):
        returned = (1 - noise) * sound + noise * other
        return classes(**dict.fromkeys("abcd", score(sound, returned, sample_rate=16_000)))

    ((degree, text),) = words(rows=trips(1.0))
    assert degree == BAD
    assert text.startswith("The round trips are not the sounds: SI-SDR is -")
    assert "in the median of 4 classes" in text
    assert not any("not the sounds" in text for _, text in words(rows=trips(0.5)))


def test_the_line_of_lost_sounds_is_drawn_in_the_median():
    lost, edge = replace(FINE, si_sdr=-20.1), replace(FINE, si_sdr=-20.0)
    assert words(rows=classes(a=lost)) == []  # one class, of noise perhaps
    assert words(rows=classes(a=lost, b=lost, c=edge, d=edge)) != []
    assert words(rows=classes(a=lost, b=edge, c=edge, d=edge)) == []
    silent = replace(FINE, si_sdr=None)
    assert words(rows=classes(a=silent, b=silent, c=silent, d=edge)) == []
    assert [d for d, _ in words(rows=classes(a=silent, b=silent, c=silent, d=lost))] == [BAD]
    assert words(rows=classes(a=silent, b=silent, c=silent, d=silent)) == []


def test_a_dead_codebook_is_bad_and_is_named():
    counts = EVEN.clone()
    counts[1] = 0
    counts[1, 3] = 160
    ((degree, text),) = words(counts)
    assert degree == BAD
    assert text.startswith("Codebook 2 is dead")
    assert "1.00 equally used entries of 16" in text


def test_two_even_codes_are_the_edge_of_a_dead_codebook():
    counts = torch.zeros(1, 16, dtype=torch.int64)
    counts[0, :2] = 80
    assert [degree for degree, _ in words(counts)] == [WARNING, WARNING]
    counts[0, 0] += 1
    assert [degree for degree, _ in words(counts)] == [BAD]


def test_unused_entries_count_only_where_there_were_frames_enough():
    counts = torch.full((1, 16), 11)
    counts[0, :2] = 0  # an eighth
    assert words(counts) == []
    counts[0, 2:] = 12
    ((_, text),) = words(counts)
    assert text == "Codebook 1 never chose 2 of its 16 entries in 168 frames."


def test_efficiency_has_a_line():
    counts = torch.zeros(1, 16, dtype=torch.int64)
    counts[0, :8] = 1  # 3 bits of 4, on few frames
    assert words(counts) == [
        (WARNING, "Codebook 1 carries 3.0 bits per code, 75% of what it costs.")
    ]
    counts[0, :10] = 1  # 3.32 of 4
    assert words(counts) == []


def test_lost_level_is_bad():
    rows = classes(c=replace(FINE, level=-6.1), d=replace(FINE, level=-20.0))
    ((degree, text),) = words(rows=rows)
    assert degree == BAD
    assert "much quieter: d (-20.0 dB), c (-6.1 dB)." in text
    assert words(rows=classes(c=replace(FINE, level=-6.0))) == []


def test_what_was_silent_before_is_no_fault_of_the_codec():
    assert words(rows=classes(b=replace(FINE, level=None, si_sdr=None))) == []


def test_louder_is_a_warning():
    ((degree, text),) = words(rows=classes(b=replace(FINE, level=6.5)))
    assert (degree, text) == (WARNING, "Comes back much louder: b (+6.5 dB).")


def test_a_class_much_worse_than_the_rest():
    ((degree, text),) = words(rows=classes(d=replace(FINE, mel_distance=0.76)))
    assert (degree, "d (0.76, N = 1)" in text) == (WARNING, True)
    assert words(rows=classes(d=replace(FINE, mel_distance=0.75))) == []
    few = {name: replace(FINE, mel_distance=i + 1.0) for i, name in enumerate("abc")}
    assert words(rows=by_class(few, {name: name for name in few})) == []


def test_the_bad_comes_first():
    counts = EVEN.clone()
    counts[0, 4:] = 0
    counts[0, :4] = 40  # 2 bits of 4
    rows = classes(a=replace(FINE, level=-9.0))
    assert [degree for degree, _ in words(counts, rows)] == [BAD, WARNING, WARNING]


def test_classes_are_means_and_their_clips_are_known():
    values = {"x": 0.4, "y": 0.2, "z": 0.9, "w": 0.1}
    scores = {
        name: Scores(
            si_sdr=None if name == "w" else 10 * v, mel_distance=v, log_spectral=v, level=-v
        )
        for name, v in values.items()
    }
    one, two = by_class(scores, {"x": "A", "y": "A", "z": "A", "w": "B"})
    assert (one.name, one.n, one.worst, one.median) == ("A", 3, "z", "x")
    assert one.mel_distance == pytest.approx(0.5)
    assert one.si_sdr == pytest.approx(5.0)
    assert one.level == pytest.approx(-0.4)
    assert (two.name, two.si_sdr, two.worst, two.median) == ("B", None, "w", "w")


def restarts(first, second):
    """A training of 1000 updates whose first codebook restarts as told, before 900 and after."""
    rows = [
        {"step": 0.0, "codebooks/restarts_0": 0.0, "codebooks/restarts_1": 0.0},
        {"step": 900.0, "codebooks/restarts_0": first, "codebooks/restarts_1": 5.0},
        {"step": 1000.0, "codebooks/restarts_0": first + second, "codebooks/restarts_1": 5.0},
    ]
    return History(run="r", finished=True, others=0, rows=rows)


def test_a_codebook_that_never_comes_to_rest():
    """Of 16 entries 1.6 per 100 updates are the line; what was early is forgotten."""
    assert alarms(health(EVEN), classes(), restarts(500.0, 1.0)) == []
    (alarm,) = alarms(health(EVEN), classes(), restarts(0.0, 2.0))
    assert (alarm.degree, "codebook 1 (2 of 16)." in alarm.text) == (WARNING, True)
    alone = History(run="r", finished=True, others=0, rows=restarts(9.0, 9.0).rows[-1:])
    assert alarms(health(EVEN), classes(), alone) == []


def test_every_line_is_explained():
    text = " ".join(THRESHOLDS)
    for line in ("below 2", "10%", "80%", "1.5 times", "6 dB", "fewer than 4 classes", "-20 dB"):
        assert line in text, line

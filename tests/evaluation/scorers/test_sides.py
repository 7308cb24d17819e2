"""Which sounds of either side a score is made of, and what stands in for the generated ones."""

from dataclasses import replace

from evaluation.reports.tables import count_text
from tests.evaluation.scorers.test_features import ALL, SETS, SETTINGS, build, features


def test_n_is_of_the_clips_that_have_windows():
    """One generated sound was too short for a window: it is in no distance."""
    found = features(clips=12)
    generated = [clip[:0] if i == 3 else clip for i, clip in enumerate(found.generated["logits"])]
    found = replace(found, generated={"embedding": generated, "logits": generated})
    for row in SETS[:-1]:
        score, _ = build(row).score(found, SETTINGS)
        assert score.n == 11, row
        if row[0] != "inception_passt":  # it sees no references
            assert count_text(score) == "12 reference, 11 generated"


def test_a_set_in_one_split_has_no_interval():
    score, _ = build(ALL[5], splits=1).score(features(clips=60), SETTINGS)
    assert score.interval is None
    assert score.details["no_interval"]


def test_references_as_generated_stand_in_for_generated_sounds():
    plain = features()
    louder = [clip + 2 for clip in plain.reference["logits"]]
    given = replace(plain, as_generated={"embedding": louder, "logits": louder})
    changed = []
    for row in ALL:
        (before, _), (after, _) = (build(row).score(f, SETTINGS) for f in (plain, given))
        assert after.value == before.value
        marks = [found.details["self_as_generated"] for found in (before, after)]
        assert marks == [False, True]
        names = ("reference_self", "reference_halves")
        alone = row[0] == "clap_score"
        assert alone or after.details["reference_self"] is not None, row
        changed += [n for n in names if before.details[n] != after.details[n]]
    assert {"reference_self", "reference_halves"} == set(changed)
    kernel = build(ALL[6]).score(given, SETTINGS)[0].details["reference_halves"]
    assert kernel > 10 * abs(build(ALL[6]).score(plain, SETTINGS)[0].details["reference_halves"])

"""Beside a Frechet distance: its bias where it can be told, and that sounds are few."""

import torch

from tests.evaluation.scorers.test_features import ALL, SETTINGS, build, features


def test_no_bias_is_shown_that_cannot_be_relied_on():
    def bias(found):
        return build(ALL[0]).score(found, SETTINGS)[0].details["bias"]

    assert bias(features(clips=99))["reason"] == "fewer than 100 clips"
    found = features(clips=110)
    long = torch.randn(80, 6, generator=torch.Generator().manual_seed(0))
    for rows in (found.reference["embedding"], found.generated["embedding"]):
        rows[0] = long
    assert "so unequal numbers of windows that they are worth 13" in bias(found)["reason"]
    assert "with too few windows" in bias(features(clips=100, windows=1, dim=150))["reason"]
    alike = [bias(features(clips=100, windows=1, shift=0.0, seed=seed)) for seed in range(12)]
    over = [one for one in alike if one["estimate"] is None]  # of one distribution half are so
    assert over
    assert all("no less than the value itself" in one["reason"] for one in over)


def test_few_clips_of_many_windows_are_said():
    """Windows of one clip are not independent, so the clips count against the dimensions too."""
    assert build(ALL[0]).score(features(clips=41, windows=9, dim=40), SETTINGS)[1] == []
    _, notes = build(ALL[0]).score(features(clips=40, windows=9, dim=40), SETTINGS)
    assert len(notes) == 1
    assert "40 reference and 40 generated clips for 40 dimensions: their windows are" in notes[0]

import numpy as np
import pytest
import torch

from evaluation.comparison.features import NotThereError, cached_features, joint_draws
from evaluation.comparison.scores import compare_score
from evaluation.features.cache import FeatureCache, entry_key
from evaluation.features.pairs import PairFeatures
from evaluation.protocols.card import Bootstrap
from evaluation.scorers.features import build_feature_scorer
from evaluation.scorers.interval import FEWEST_CLIPS
from evaluation.scorers.resampling import draw_counts
from tests.evaluation.reports.test_report import make_report, make_score

KEY = "frechet_logmel_standin"
CLIPS, DIM = 24, 6


def build(folder, name, *, shift=0.0, score=True):
    """Return a report of normal features, written to the cache; the mean is off by a shift."""
    cache, items = FeatureCache(folder), []
    rows = {"reference": [], "generated": []}
    for i in range(CLIPS):
        keys = {}
        for side in rows:
            generator = torch.Generator().manual_seed(i + 1000 * (side == "generated"))
            tensor = torch.randn(3, DIM, generator=generator)
            tensor[:, 0] += shift * (side == "generated")
            rows[side].append(tensor)
            keys[side] = entry_key({"of": name, "side": side, "clip": i})
            cache.put(keys[side], {"embedding": tensor}, {})
        items.append({"name": f"{i:02d}", "values": {}, "features": {"logmel": keys}})
    options = {"kind": "frechet", "features": "logmel", "output": "embedding"}
    features = PairFeatures(
        names=[item["name"] for item in items],
        reference={"embedding": rows["reference"]},
        generated={"embedding": rows["generated"]},
        captions=[()] * CLIPS,
        text=None,
        network={},
    )
    scorer = build_feature_scorer(KEY, options)
    value = scorer.value(features)[0] if score else 0.0
    card = make_report().protocol | {"metrics": {KEY: options}}
    scores = {KEY: make_score(name=KEY, value=value, details={}, n=CLIPS)}
    return make_report(scores=scores, items=items, protocol=card), features, scorer


def test_the_features_are_those_that_were_written(tmp_path):
    report, features, _ = build(tmp_path, "a")
    found = cached_features(report, "logmel", cache=tmp_path)
    assert found.names == features.names
    for side in ("reference", "generated"):
        for got, expected in zip(
            getattr(found, side)["embedding"], getattr(features, side)["embedding"], strict=True
        ):
            torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_both_are_resampled_alike(tmp_path):
    (a, own, scorer), (b, other, _) = (build(tmp_path, n, shift=s) for n, s in (("a", 0), ("b", 1)))
    draws = joint_draws(KEY, a, b, cache=tmp_path)
    counts = draw_counts(CLIPS, Bootstrap(**a.protocol["bootstrap"]))
    expected = scorer.resampled(other, counts) - scorer.resampled(own, counts)
    np.testing.assert_allclose(draws, expected, rtol=1e-9)
    # a mean that is off by 1 adds 1; each score alone is spread far wider than their difference
    assert 0.3 < draws.mean() < 1.7
    assert joint_draws(KEY, a, a, cache=tmp_path) == pytest.approx(np.zeros(len(draws)))


def test_what_is_not_in_the_cache_is_said(tmp_path):
    (a, _, _), (b, _, _) = (build(tmp_path, n) for n in ("a", "b"))
    assert "no cache of features" in joint_draws(KEY, a, b, cache=None)
    assert "there is no cache" in joint_draws(KEY, a, b, cache=tmp_path / "nowhere")
    for cache in (tmp_path / "nowhere", None):
        assert "name the cache you scored with: --cache" in joint_draws(KEY, a, b, cache=cache)
    assert not (tmp_path / "nowhere").exists()
    key = b.items[3]["features"]["logmel"]["generated"]
    path = FeatureCache(tmp_path).path(key)
    content = path.read_bytes()
    path.unlink()
    assert "lacks the features of generated sound '03'" in joint_draws(KEY, a, b, cache=tmp_path)
    path.write_bytes(content[:-1] + b"x")
    assert "damaged" in joint_draws(KEY, a, b, cache=tmp_path)
    del a.items[0]["features"]
    with pytest.raises(NotThereError, match="'00'"):
        cached_features(a, "logmel", cache=tmp_path)


def test_features_of_another_score_are_not_taken(tmp_path):
    (a, _, _), (b, _, _) = build(tmp_path, "a"), build(tmp_path, "b", score=False)
    assert "where the report says 0" in joint_draws(KEY, a, b, cache=tmp_path)


def test_a_score_of_a_whole_set_needs_as_many_clips_as_that_of_one_report(tmp_path, monkeypatch):
    """With features at hand, too: below it neither report has an interval of its own."""
    monkeypatch.setattr(f"{__name__}.CLIPS", FEWEST_CLIPS - 1)
    few = {name: build(tmp_path, name, shift=s)[0] for name, s in (("a", 0), ("b", 9))}
    (found,) = compare_score(KEY, few, cache=tmp_path)["differences"]
    assert (found["interval"], found["resolved"], found["clips_needed"]) == (None, None, None)
    assert found["method"] == "no interval below 8 clips"
    assert found["value"] > 0
    monkeypatch.setattr(f"{__name__}.CLIPS", FEWEST_CLIPS)
    enough = {name: build(tmp_path, f"{name}8", shift=s)[0] for name, s in (("a", 0), ("b", 9))}
    (found,) = compare_score(KEY, enough, cache=tmp_path)["differences"]
    assert found["resolved"] is True

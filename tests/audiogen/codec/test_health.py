import math

import pytest
import torch
from scipy import stats

from audiogen.codec.health import code_statistics, count_codes, drift, health_of, measure_health
from audiogen.codec.model import Codec


def codec(**changes):
    torch.manual_seed(0)
    small = {"num_filters": 2, "dimension": 8, "ratios": [4, 2], "lstm_layers": 0}
    return Codec(sample_rate=8000, num_codebooks=2, codebook_size=8, **small | changes)


def test_statistics_of_known_counts():
    even = code_statistics(torch.full((2, 16), 3.0))
    torch.testing.assert_close(even["perplexity"], torch.full((2,), 16.0))
    torch.testing.assert_close(even["entropy"], torch.full((2,), 4.0))
    assert even["usage"].tolist() == even["efficiency"].tolist() == [1, 1]
    single = code_statistics(torch.tensor([0.0, 7.0, 0.0, 0.0]))
    assert [single[name].item() for name in ("perplexity", "usage", "efficiency")] == [1, 0.25, 0]
    p = 1 / 4
    entropy = -(p * math.log2(p) + (1 - p) * math.log2(1 - p))
    assert code_statistics(torch.tensor([1, 3]))["entropy"].item() == pytest.approx(entropy)


def test_entropy_is_that_of_scipy():
    counts = torch.randint(0, 1000, (5, 37), generator=torch.Generator().manual_seed(0))
    ours = code_statistics(counts)["entropy"]
    theirs = torch.from_numpy(stats.entropy(counts.numpy(), base=2, axis=1)).float()
    torch.testing.assert_close(ours, theirs)


def test_nothing_counted_is_not_zero_bits():
    statistics = code_statistics(torch.zeros(2, 4))
    assert statistics["entropy"].isnan().all()
    assert statistics["efficiency"].isnan().all()
    assert statistics["usage"].tolist() == [0, 0]


def test_counts_are_those_of_a_loop():
    codes = torch.randint(0, 5, (3, 2, 40), generator=torch.Generator().manual_seed(1))
    counts = count_codes(codes, 7)
    assert counts.dtype == torch.int64
    for k in range(2):
        assert counts[k].tolist() == [int((codes[:, k] == n).sum()) for n in range(7)]


def test_drift_is_a_share_of_the_spread_whatever_scale_and_place():
    before = torch.randn(3, 50, 4, generator=torch.Generator().manual_seed(2))
    spread = (before - before.mean(1, keepdim=True)).square().sum(-1).mean(-1).sqrt()
    step = torch.tensor([0.3, 0.0, 0.0, 0.4])  # every entry moves by 0.5
    torch.testing.assert_close(drift(before, before + step), 0.5 / spread)
    torch.testing.assert_close(drift(before, before), torch.zeros(3))
    moved = before + torch.randn(3, 50, 4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(drift(before, moved), drift(7 * before + 2, 7 * moved + 2))


def test_drift_of_one_restarted_entry():
    before = torch.tensor([[3.0], [-3.0], [3.0], [-3.0]])
    after = before.clone()
    after[0] = -3.0  # one of four moves by twice the spread
    assert drift(before, after).item() == pytest.approx(math.sqrt(2**2 / 4))


def test_drift_has_no_unit_where_all_entries_are_the_same():
    same = torch.ones(2, 4, 3)
    assert drift(same, same + 1).isnan().all()


@pytest.mark.parametrize("shapes", [((4, 3), (5, 3)), ((4,), (4,))])
def test_drift_needs_two_snapshots_of_the_same(shapes):
    with pytest.raises(ValueError, match="two snapshots"):
        drift(*(torch.zeros(shape) for shape in shapes))


def test_a_published_bit_rate():
    """Four codebooks of 2048 at 50 Hz cost 2.2 kbit/s, and even codes carry all of it."""
    health = health_of(torch.ones(4, 2048, dtype=torch.int64), frame_rate=50, restarts=[1, 2, 3, 4])
    assert health.nominal_bitrate == pytest.approx(2.2)
    assert health.effective_bitrate == pytest.approx(2.2)
    assert health.efficiency == pytest.approx(1)
    assert [book.restarts for book in health.codebooks] == [1, 2, 3, 4]
    assert health.frames == health.codebook_size == 2048


def test_a_collapsed_codebook():
    counts = torch.tensor([[5, 5, 5, 5], [20, 0, 0, 0]])
    alive, collapsed = health_of(counts, frame_rate=100).codebooks
    assert (alive.dead, alive.perplexity, alive.efficiency) == (0, 4, 1)
    assert (collapsed.dead, collapsed.usage, collapsed.perplexity) == (3, 0.25, 1)
    health = health_of(counts, frame_rate=100)
    assert (health.nominal_bitrate, health.effective_bitrate) == (0.4, 0.2)


@pytest.mark.parametrize(
    ("counts", "keywords", "said"),
    [
        (torch.zeros(2, 4), {}, "no code was counted"),
        (torch.tensor([[1, 1], [1, 2]]), {}, "over the same frames"),
        (torch.tensor([[2, -1], [1, 0]]), {}, "over the same frames"),
        (torch.ones(4), {}, r"counts \[K, N\]"),
        (torch.ones(4, 1), {}, "N at least 2"),
        (torch.ones(2, 4), {"restarts": [1]}, "2 numbers of restarts"),
    ],
)
def test_counts_that_cannot_be_judged(counts, keywords, said):
    with pytest.raises(ValueError, match=said):
        health_of(counts, frame_rate=50, **keywords)


def test_measures_what_the_codec_really_writes():
    model = codec().train()
    model.quantizer.restarts.copy_(torch.tensor([3, 0]))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rng = torch.Generator().manual_seed(4)
    sounds = [torch.randn(b, 1, t, generator=rng) for b, t in ((2, 400), (1, 1003), (3, 8))]
    health = measure_health(model, iter(sounds))
    with torch.no_grad():
        codes = [model.eval().encode(sound)[0] for sound in sounds]
    assert health.frames == 2 * 50 + 126 + 3
    flat = torch.cat([c.transpose(0, 1).flatten(1) for c in codes], dim=1)
    assert [b.dead for b in health.codebooks] == [8 - len(set(row.tolist())) for row in flat]
    assert [b.restarts for b in health.codebooks] == [3, 0]
    assert health.nominal_bitrate == pytest.approx(2 * 3 * 1000 / 1000)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_measuring_leaves_the_mode_and_counts_the_codebooks_in_use():
    model = codec().train()
    model.set_num_codebooks(1)
    health = measure_health(model, [torch.randn(1, 1, 80)])
    assert model.training
    assert len(health.codebooks) == 1
    with pytest.raises(ValueError, match=r"shape \[1, 2, 80\]"):
        measure_health(model, [torch.randn(1, 2, 80)])
    assert model.training


def test_no_sound_no_health():
    with pytest.raises(ValueError, match="at least one sound"):
        measure_health(codec(), [])

import pytest
import torch

from evaluation.metrics.clap_score import ClapScore, cosine_score


def test_known_angles():
    audio = torch.tensor([[1.0, 0.0], [1.0, 1.0], [2.0, 0.0], [1.0, 0.0]])
    text = torch.tensor([[3.0, 0.0], [1.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    expected = torch.tensor([1.0, 0.5**0.5, 0.0, -1.0]).double()
    torch.testing.assert_close(cosine_score(audio, text), expected, rtol=0, atol=1e-7)


def test_agrees_with_torch_and_ignores_length():
    rng = torch.Generator().manual_seed(0)
    audio, text = torch.randn(2, 50, 512, generator=rng, dtype=torch.float64)
    expected = torch.nn.functional.cosine_similarity(audio, text)
    torch.testing.assert_close(cosine_score(7 * audio, text / 9), expected, rtol=1e-12, atol=1e-14)


def test_metric_is_the_mean_over_items_and_merges():
    rng = torch.Generator().manual_seed(0)
    audio, text = torch.randn(2, 10, 8, generator=rng)
    half, other = ClapScore(), ClapScore()
    half.update(audio[:3], text[:3])
    other.update(audio[3:], text[3:])
    half.merge_state(other)
    expected = cosine_score(audio, text).mean()
    torch.testing.assert_close(half.compute(), expected, rtol=1e-12, atol=0)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_refuses_what_has_no_angle():
    with pytest.raises(ValueError, match="has no angle"):
        cosine_score(torch.zeros(1, 4), torch.ones(1, 4))
    with pytest.raises(ValueError, match=r"got \[1, 4\] and \[1, 5\]"):
        cosine_score(torch.ones(1, 4), torch.ones(1, 5))
    with pytest.raises(ValueError, match="one or more pairs, got none"):
        ClapScore().compute()

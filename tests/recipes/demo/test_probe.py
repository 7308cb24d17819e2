"""The probe learns what is audible, and labels it has never seen are never right by accident."""

import torch

from recipes.demo.probe import IGNORE, LabelSet, train_probe

RATE = 16_000


def tones_and_noise(number: int, seed: int) -> tuple[torch.Tensor, list[dict[str, str]]]:
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(RATE // 2) / RATE
    waveforms, labels = [], []
    for i in range(number):
        if i % 2:
            frequency = 300 + 200 * torch.rand((), generator=generator)
            waveforms.append(0.1 * torch.sin(2 * torch.pi * frequency * time))
            labels.append({"family": "tone", "pitch": "low"})
        else:
            waveforms.append(0.1 * torch.randn(len(time), generator=generator))
            labels.append({"family": "noise"})
    return torch.stack(waveforms), labels


def test_label_set_is_sorted_and_drops_what_cannot_be_told_apart():
    found = LabelSet.of([{"family": "b"}, {"family": "a", "pitch": "low"}])
    assert found.values == {"family": ("a", "b")}  # pitch has one value: nothing to learn
    encoded = found.encode([{"family": "b"}, {}, {"family": "unheard of"}])
    assert encoded["family"].tolist() == [1, IGNORE, IGNORE]


def test_probe_tells_tones_from_noise_and_leaves_the_global_stream_alone():
    waveforms, labels = tones_and_noise(32, seed=0)
    before = torch.random.get_rng_state()
    probe = train_probe(waveforms, labels, sample_rate=RATE, steps=15, seed=0, batch_size=16)
    assert torch.equal(before, torch.random.get_rng_state())
    unseen, truth = tones_and_noise(16, seed=1)
    answers = probe.answers(unseen)["family"]
    assert torch.equal(answers, probe.label_set.encode(truth)["family"])


def test_training_is_a_function_of_the_seed():
    waveforms, labels = tones_and_noise(16, seed=0)
    arguments = {"sample_rate": RATE, "steps": 2, "batch_size": 4}
    first, second, other = (
        train_probe(waveforms, labels, seed=seed, **arguments)(waveforms)["family"]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)

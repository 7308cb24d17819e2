"""A small network that hears what a clip contains: the judge of caption following.

It is trained on real clips only, has one head per label of the manifest ("family", "pitch", ...)
and answers for any waveform. It is a probe of this demo, not a published metric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram
from tqdm import tqdm

IGNORE = -100  # cross-entropy's mark for "this clip has no such label"


@dataclass(frozen=True)
class LabelSet:
    """The label names of a manifest and the values each can take, in a fixed order."""

    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, labels: Sequence[Mapping[str, str]]) -> "LabelSet":
        """Collect names and values; a name with a single value teaches nothing and is left out."""
        found: dict[str, set[str]] = {}
        for clip in labels:
            for name, value in clip.items():
                found.setdefault(name, set()).add(value)
        return cls({n: tuple(sorted(v)) for n, v in sorted(found.items()) if len(v) > 1})

    def encode(self, labels: Sequence[Mapping[str, str]]) -> dict[str, Tensor]:
        """Class indices, int64 [B] per name; a clip without the label gets IGNORE."""
        return {
            name: torch.tensor(
                [
                    values.index(clip[name]) if clip.get(name) in values else IGNORE
                    for clip in labels
                ]
            )
            for name, values in self.values.items()
        }


class Probe(nn.Module):
    """Log-mel frames -> convolutions -> mean and maximum over time -> one head per label."""

    def __init__(self, label_set: LabelSet, *, sample_rate: int, width: int = 32) -> None:
        super().__init__()
        self.label_set = label_set
        self.mel = MelSpectrogram(sample_rate, n_fft=512, hop_length=160, n_mels=64, f_min=40)
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, width), (width, 2 * width), (2 * width, 2 * width)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=(2, 2), padding=1, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        features = 2 * width * 8
        self.rhythm = nn.Sequential(
            nn.Conv1d(features, 128, 5, padding=2, bias=False), nn.BatchNorm1d(128), nn.ReLU(),
            nn.Conv1d(128, 128, 9, padding=4, bias=False), nn.BatchNorm1d(128), nn.ReLU(),
        )  # fmt: skip
        self.heads = nn.ModuleDict(
            {name: nn.Linear(256, len(values)) for name, values in label_set.values.items()}
        )

    def forward(self, waveform: Tensor) -> dict[str, Tensor]:
        """Map float [B, T] to logits [B, classes] per label."""
        mel = torch.log10(self.mel(waveform) + 1e-6)
        hidden = self.body(((mel + 3) / 3)[:, None])
        hidden = self.rhythm(hidden.flatten(1, 2))
        pooled = torch.cat([hidden.mean(dim=-1), hidden.amax(dim=-1)], dim=1)
        return {name: head(pooled) for name, head in self.heads.items()}

    @torch.no_grad()
    def answers(self, waveforms: Tensor, *, batch_size: int = 64) -> dict[str, Tensor]:
        """Most likely class per label, int64 [B], for float [B, T]."""
        self.eval()
        parts = [self(batch) for batch in waveforms.split(batch_size)]
        return {n: torch.cat([p[n] for p in parts]).argmax(dim=1) for n in self.heads}


def train_probe(
    waveforms: Tensor,
    labels: Sequence[Mapping[str, str]],
    *,
    sample_rate: int,
    steps: int,
    seed: int,
    batch_size: int = 32,
) -> Probe:
    """Fit a probe to float [B, T] clips; shifts in time and small level changes as augmentation."""
    label_set = LabelSet.of(labels)
    targets = label_set.encode(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe(label_set, sample_rate=sample_rate)
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    probe.train()
    for _ in tqdm(range(steps), desc="probe", unit="step"):
        chosen = torch.randint(len(waveforms), (batch_size,), generator=rng)
        gain = 1 + 0.1 * (2 * torch.rand(batch_size, 1, generator=rng) - 1)
        logits = probe(waveforms[chosen] * gain)
        loss = torch.stack(
            [_cross_entropy(logits[name], targets[name][chosen]) for name in probe.heads]
        ).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return probe.eval()


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the clips that have the label; zero gradient where none in the batch has."""
    known = (target != IGNORE).sum().clamp(min=1)
    return F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum") / known

"""Sounds to listen to and spectrograms to look at while a model trains, to whichever logger."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from numpy.typing import NDArray
from torch import Tensor

from audiogen.audio import write_audio
from audiogen.files import replacing
from audiogen.pipeline import AudioGen
from audiogen.training.sharding import whole
from audiogen.training.streams import streams_kept

RANGE = 80.0  # dB between the brightest and the darkest color


class AudioSamples(Callback):
    """Sends sounds to the loggers with the first validation after every ``every`` updates.

    Runs inside of validation, so on averaged weights where there are any. Without a logger that
    takes sound, they are files under ``samples/`` of the run folder.
    """

    def __init__(self, *, every: int) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1 update, got {every}")
        self.every = every
        self._sent = 0  # multiples of ``every`` that are done

    @abstractmethod
    def render(self, trainer: Trainer, pl_module: Any) -> tuple[dict[str, Tensor], int]:
        """Return waveforms float [C, T] by name, and their sample rate in Hz."""

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Render and send, if it is time; all processes come here, and the first one renders."""
        due = trainer.global_step // self.every
        if due <= self._sent or trainer.sanity_checking:
            return
        self._sent = due
        with whole(pl_module), streams_kept():
            if trainer.is_global_zero:
                self._send(trainer, pl_module)

    def _send(self, trainer: Trainer, pl_module: LightningModule) -> None:
        sounds, sample_rate = self.render(trainer, pl_module)
        for name, waveform in sounds.items():
            sound = waveform.detach().cpu().float().clamp(-1, 1)
            send_sound(trainer, name, sound, sample_rate, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """Return how far we are."""
        return {"sent": self._sent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._sent = state_dict["sent"]


class RoundTrips(AudioSamples):
    """The first validation clips through the codec; the clips themselves once."""

    def __init__(self, *, every: int, count: int = 4) -> None:
        super().__init__(every=every)
        self.count = count

    def render(self, trainer: Trainer, pl_module: Any) -> tuple[dict[str, Tensor], int]:
        """Encode and decode."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        clips = data.first_valid(self.count)["waveform"].to(pl_module.device)
        decoded = pl_module.codec(clips).waveform
        sounds = {f"{i}-roundtrip": sound for i, sound in enumerate(decoded)}
        if self._sent == 1:
            sounds |= {f"{i}-reference": sound for i, sound in enumerate(clips)}
        return sounds, pl_module.codec.sample_rate


class Prompts(AudioSamples):
    """The same captions every time, from the same seeds."""

    def __init__(
        self,
        *,
        every: int,
        prompts: list[str],
        duration: float = 5.0,
        guidance_scale: float = 3.0,
        seed: int = 1,
    ) -> None:
        super().__init__(every=every)
        self.prompts = prompts
        self.duration = duration  # seconds
        self.guidance_scale = guidance_scale
        self.seed = seed

    def render(self, trainer: Trainer, pl_module: Any) -> tuple[dict[str, Tensor], int]:
        """Generate with the module's own codec; nothing without one."""
        if pl_module.codec_folder is None:
            return {}, 0
        codec = pl_module.load_codec().to(pl_module.device)
        model = AudioGen(text=pl_module.text, lm=pl_module.plain_lm, codec=codec)
        sounds = model.generate(
            self.prompts,
            duration=self.duration,
            seed=self.seed,
            guidance_scale=self.guidance_scale,
        )
        return dict(zip(names(self.prompts), sounds, strict=True)), codec.sample_rate


def send_sound(trainer: Trainer, name: str, sound: Tensor, sample_rate: int, *, step: int) -> None:
    """Log a waveform float [C, T] and its picture to every logger that can; else write files."""
    image = picture(sound, sample_rate)
    taken = False
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            _to_wandb(logger, name, sound, image, sample_rate, step)
            taken = True
        elif isinstance(logger, TensorBoardLogger):
            mono = sound.mean(dim=0, keepdim=True)
            logger.experiment.add_audio(f"samples/{name}", mono, step, sample_rate)
            logger.experiment.add_image(f"spectrograms/{name}", image, step, dataformats="HWC")
            taken = True
    if not taken:
        folder = Path(trainer.default_root_dir) / "samples" / f"step-{step:09d}"
        write_audio(folder / f"{name}.wav", sound, sample_rate)
        _write_png(folder / f"{name}.png", image)


def picture(sound: Tensor, sample_rate: int) -> NDArray[np.uint8]:
    """Draw the log-magnitude spectrogram of float [C, T]: uint8 [height, width, 3], low below."""
    from matplotlib import colormaps

    n_fft = max(64, 2 ** round(np.log2(0.032 * sample_rate)))
    mono = torch.nn.functional.pad(sound.mean(dim=0), (0, max(0, n_fft - sound.shape[-1])))
    spectrum = torch.stft(
        mono, n_fft, n_fft // 4, window=torch.hann_window(n_fft), return_complex=True
    )
    level = 20 * spectrum.abs().clamp(min=1e-7).log10()
    share = 1 + (level - level.max()) / RANGE
    colors = colormaps["magma"](share.clamp(0, 1).flip(0).numpy())
    return np.asarray(np.round(255 * colors[..., :3]), dtype=np.uint8)


def _to_wandb(
    logger: WandbLogger,
    name: str,
    sound: Tensor,
    image: NDArray[np.uint8],
    sample_rate: int,
    step: int,
) -> None:
    """Log at the top level: inside of a table wandb keeps the word "Audio" and no sound."""
    import wandb

    logger.experiment.log(
        {
            f"samples/{name}": wandb.Audio(sound.T.numpy(), sample_rate=sample_rate),
            f"spectrograms/{name}": wandb.Image(image),
            "trainer/global_step": step,
        }
    )


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    from matplotlib import image as pictures

    with replacing(path) as temporary:
        pictures.imsave(temporary, image, format="png")


def names(captions: Sequence[str]) -> list[str]:
    """Make a file name of each caption; what would be alike is numbered.

    >>> names(["A dog!", "a dog", ""])
    ['a-dog', 'a-dog-2', 'empty']
    """
    found: list[str] = []
    for caption in captions:
        name, count = _slug(caption), 2
        while name in found:
            name, count = f"{_slug(caption)}-{count}", count + 1
        found.append(name)
    return found


def _slug(caption: str) -> str:
    """Make a file name of a caption."""
    return re.sub(r"[^a-z0-9]+", "-", caption.lower()).strip("-")[:60] or "empty"

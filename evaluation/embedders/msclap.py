"""Microsoft's CLAP of 2023: a sound, or a caption -> 1024 numbers, near each other if one fits.

Source: Elizalde et al. 2023 (arXiv:2309.05767), the package msclap 1.3.4. It is another network
than the CLAP of `clap.py`, of other weights, and its cosines are on another scale.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluation.embedders.clap import CAPTIONS, ROWS, UNRELATED, Tokenize
from evaluation.embedders.clap_front import BANDS
from evaluation.embedders.msclap_front import FRAMES, SAMPLE_RATE, prepare
from evaluation.embedders.weight_file import WeightsError

DIM = 1024
ALIKE = 0.99  # cosine that two unrelated captions stay below; what is usual is not known here


class MsClap:
    """Microsoft's CLAP as a `FeatureNetwork` with a text tower.

    A pickled copy, as a worker process gets it, holds the front end alone.
    """

    name = "msclap"
    version = "1"
    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        *,
        weights: str | Path | None,
        tokenizer: str | Path | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> None:
        """Load and test the weights; nothing is ever downloaded.

        Args:
            weights: CLAP_weights_2023.pth; None makes a stand-in with hashed random weights.
            tokenizer: folder of GPT-2's tokenizer; None looks where `msclap_text` says.
            device: where the network runs.
            dtype: in which it multiplies; what comes out is float32.
            seed: of the places where 7 s are cut out of longer sounds, from 0.

        Raises:
            ValueError: for a seed that is none, or a file that is not this network.
        """
        from evaluation.embedders.msclap_network import hash_msclap, load_msclap  # seconds

        self.seed = check_seed(seed)
        self.weights = None if weights is None else Path(weights)
        self.weights_sha256: str | None = None
        network: Any  # transformers' types are not ours to satisfy
        if self.weights is None:
            network, self.bank = hash_msclap()
        else:
            network, self.bank, self.weights_sha256 = load_msclap(self.weights)
        self.device, self.dtype = torch.device(device), dtype
        self.network = network.to(self.device)
        self.outputs: Mapping[str, int] = {"embedding": network.dim}
        self.tokenizer = None if tokenizer is None else Path(tokenizer)
        self._tokenize = self._find_words()

    def windows(self, waveform: Tensor) -> Tensor:
        """Map float [T] at 44.1 kHz to a spectrogram float32 [1, 1, 965, 64] of 7 s.

        Raises:
            ValueError: if there is no sound, or a sample is not finite.
        """
        return prepare(waveform, seed=self.seed, bank=self.bank)

    def run(self, windows: Tensor) -> dict[str, Tensor]:
        """Map spectrograms [n, 1, 965, 64] to {"embedding": float32 [n, 1024]} of length 1."""
        from evaluation.embedders.msclap_network import embed_audio

        network = self._whole()
        if windows.shape[1:] != (1, FRAMES, BANDS):
            raise ValueError(
                f"expected spectrograms [n, 1, {FRAMES}, {BANDS}], got {list(windows.shape)}: "
                "make them with `windows`"
            )
        rows = [torch.empty(0, network.dim)]
        for part in windows.split(ROWS) if len(windows) else ():
            with self._precision():
                rows.append(embed_audio(network, part.to(self.device)).cpu())
        return {"embedding": torch.cat(rows)}

    def audio(self, waveform: Tensor) -> Tensor:
        """Map float [B, T] at 44.1 kHz to embeddings float32 [B, 1024] of length 1."""
        if waveform.ndim != 2:
            raise ValueError(f"expected waveforms [B, T], got {list(waveform.shape)}")
        mels = [torch.empty(0, 1, FRAMES, BANDS), *(self.windows(one) for one in waveform)]
        return self.run(torch.cat(mels))["embedding"]

    def text(self, captions: Sequence[str]) -> Tensor:
        """Map captions to embeddings float32 [n, 1024] of length 1; 1024 tokens at most.

        Raises:
            ValueError: if a caption is not a text or too long, the files of the tokenizer are
                missing, or the text tower says the same of everything.
        """
        network = self._whole()
        if isinstance(captions, str) or not all(isinstance(one, str) for one in captions):
            raise ValueError(f"expected a list of captions, got {captions!r:.80}")
        if not captions:
            return torch.empty(0, network.dim)
        if self._tokenize is None:
            self._tokenize = self._load_words()
        return self._embed(captions, self._tokenize)

    def _embed(self, captions: Sequence[str], tokenize: Tokenize) -> Tensor:
        from evaluation.embedders.msclap_network import embed_text

        rows = []
        for start in range(0, len(captions), CAPTIONS):
            ids, mask = tokenize(captions[start : start + CAPTIONS])
            with self._precision():
                found = embed_text(self._whole(), ids.to(self.device), mask.to(self.device))
            rows.append(found.cpu())
        return torch.cat(rows)

    def _find_words(self) -> Tokenize | None:
        """Load the tokenizer if its files are here; for sounds alone it need not be."""
        from evaluation.embedders.msclap_text import find_tokenizer, stand_in_tokenizer

        if self.weights is None:
            return stand_in_tokenizer
        try:
            find_tokenizer(self.weights, self.tokenizer)
        except WeightsError:
            return None  # said when captions come
        return self._load_words()

    def _load_words(self) -> Tokenize:
        """Load the tokenizer, and see that the text tower tells two captions apart."""
        from evaluation.embedders.msclap_text import find_tokenizer, load_tokenizer

        folder = find_tokenizer(self.weights, self.tokenizer)
        tokenize = load_tokenizer(folder, words=self._whole().text_model.config.vocab_size)
        first, second = self._embed(UNRELATED, tokenize)
        if not float(first @ second) < ALIKE:
            raise WeightsError(
                f"{self.weights}: the text tower of these weights is broken: {UNRELATED[0]!r} and "
                f"{UNRELATED[1]!r} have a cosine of {float(first @ second):.4f}, and {ALIKE} is "
                "too much. Get the file from its authors"
            )
        return tokenize

    def _precision(self) -> AbstractContextManager[Any]:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def _whole(self) -> Any:
        if self.network is None:
            raise ValueError("this is a copy for a worker process: it holds no network to run")
        return self.network

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"network": None, "_tokenize": None}


def check_seed(seed: object) -> int:
    """Return a seed.

    Raises:
        ValueError: if it is not a whole number from 0 that fits into 64 bits.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise ValueError(f"seed must be a whole number from 0 below 2^64, got {seed!r}")
    return seed


def build(
    *,
    weights: Path | None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> MsClap:
    """Build the network of a card; options as in `MsClap`."""
    return MsClap(weights=weights, device=device, dtype=dtype, **options)

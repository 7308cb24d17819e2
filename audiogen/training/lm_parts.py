"""What a language model is trained with: its text encoder, its codec, and data they fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn

from audiogen.checkpoint import save_model
from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.model_folder.write import Check
from audiogen.text import TextEncoder
from audiogen.text.pretrained import PretrainedEncoder
from audiogen.training.lm_batches import FrozenCodec
from audiogen.training.lm_checks import (
    check_codes,
    check_header,
    check_length,
    check_same_codec,
    check_whole,
)
from audiogen.training.recording import RecordingModule
from audiogen.training.sharding import Parts, shard

HEADER = ("codec_hash", "segment_frames", "frame_rate")


class LMParts(RecordingModule):
    """Holds the parts of a model, checks the data against them, and exports the whole.

    Args:
        lm: the model.
        text: encoder of captions; one that does not learn stays out of checkpoints.
        codec_folder: the model folder of the codec of the codes, or None.
        complete: whether delayed codebooks are trained on their last frames.
    """

    def __init__(
        self, lm: TokenLM, *, text: TextEncoder, codec_folder: str | None, complete: bool
    ) -> None:
        super().__init__()
        parts: dict[str, nn.Module] = {"lm": lm}
        if isinstance(text, nn.Module):
            parts["text"] = text  # a frozen T5 has neither parameters nor state to be saved
        self.parts = Parts(parts)
        self._text = [text]  # in a list, or it would be a part twice
        self.codec = FrozenCodec(codec_folder)
        self.complete = complete
        self._trained_on: Mapping[str, Any] | None = None  # `header` of the loaded checkpoint

    @property
    def paper_exact(self) -> bool:
        """Whether training does what the reference does, its mistakes included."""
        return self.lm.paper_exact

    @property
    def codec_folder(self) -> str | None:
        """The model folder of the codec the codes are of."""
        return self.codec.folder

    @property
    def averaged(self) -> nn.Module:
        """What learns and is exported."""
        return self.parts

    @property
    def lm(self) -> TokenLM:
        """The language model."""
        return cast(TokenLM, self.parts.get_submodule("lm"))

    @property
    def plain_lm(self) -> TokenLM:
        """The language model to generate with, and to export."""
        return self.lm

    @property
    def text(self) -> TextEncoder:
        """The text encoder, frozen or not."""
        return self._text[0]

    @property
    def header(self) -> Mapping[str, Any]:
        """What the training data says about its codes: codec_hash, segment_frames, frame_rate."""
        if self._trained_on is None:
            self._trained_on = {key: self._header_of_data()[key] for key in HEADER}
        return self._trained_on

    def configure_model(self) -> None:
        """Keep a share of the weights, where the trainer's strategy is one of shares."""
        shard(self.parts, blocks=self.lm.layers, mesh=self.device_mesh)

    def on_fit_start(self) -> None:
        """Refuse data that the model cannot be trained on, before the first update."""
        if self.trainer.accumulate_grad_batches != 1:
            raise ValueError("trainer.accumulate_grad_batches is not used: set module.accumulate")
        for part in self.parts.modules():
            if isinstance(part, PretrainedEncoder):
                part.find()  # before the first update; the first caption may come late
        header, lm = self._header_of_data(), self.lm
        check_header(header, num_codebooks=lm.num_codebooks, codebook_size=lm.codebook_size)
        check_same_codec(
            header["codec_hash"],
            {
                str(self.codec_folder): self.codec.fingerprint,
                "this run so far": self.header["codec_hash"],
            },
        )
        check_length(lm, int(header["segment_frames"]), complete=self.complete)

    def check_batch(self, batch: Mapping[str, Any]) -> None:
        """Check codes while they are on the CPU, where it costs nothing; see `DataModule`."""
        if "codes" in batch:
            lm = self.lm
            check_codes(batch, num_codebooks=lm.num_codebooks, codebook_size=lm.codebook_size)
            if self.paper_exact:
                check_whole(batch["code_mask"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add which codec the codes are of."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["codes"] = dict(self.header)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember which codec the codes were of."""
        if "codes" not in checkpoint:
            raise ValueError("the checkpoint is not of a language model: give resume_from another")
        super().on_load_checkpoint(checkpoint)
        self._trained_on = checkpoint["codes"]

    def load_codec(self) -> Codec:
        """Load the codec of ``codec_folder``."""
        return self.codec.load()

    def export(
        self, folder: Path, *, card: Mapping[str, object], check: Check | None = None
    ) -> None:
        """Write the whole model, codec included, as a model folder."""
        codec = self.load_codec()
        seconds = self.header["segment_frames"] / self.header["frame_rate"]
        lm = self.plain_lm.cpu().eval()
        save_model(
            folder,
            text=self.text,
            lm=lm,
            codec=codec,
            max_duration=seconds,
            card=card,
            check=check,
        )

    def _learning(self) -> list[nn.Parameter]:
        return [p for p in self.parts.parameters() if p.requires_grad]

    def _codes_of(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        count = self.lm.num_codebooks
        return self.codec.with_codes(batch, num_codebooks=count, silence=self.paper_exact)

    def _header_of_data(self) -> Mapping[str, Any]:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        return self.codec.header(data.train, self.device)

"""Fine-tuning: training of a language model goes on from a whole model, all of it or adapters."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from audiogen.lm.model import TokenLM
from audiogen.model_folder.write import Check
from audiogen.training.lm_module import LMModule
from audiogen.training.lora import Lora, adapters, add_adapters, has_adapters, merged, save_adapters
from audiogen.training.pretrained import Pretrained
from audiogen.training.sharding import ShardedStrategy

log = logging.getLogger(__name__)

ADAPTER_FOLDER = "adapter"  # in the exported model folder
UNSTATED = "not stated"


class FineTuneModule(LMModule):
    """Trains the language model of a whole model on other codes of the same codec.

    With ``lora``, adapters alone learn: only they are in the optimizer, in the average and in
    checkpoints, and a text encoder that had learned with the model stays as it is. The export is an
    ordinary model folder, adapters merged, with the adapters themselves beside it in ``adapter/``.

    Args:
        lm: the whole model.
        lora: arguments of `Lora`; None trains all weights.
        codec_folder: None, or another place of the model's own codec.
        text: None: the text encoder is the model's.
        how: of `LMModule`.
    """

    def __init__(
        self,
        lm: Pretrained,
        *,
        lora: Mapping[str, Any] | None,
        codec_folder: str | None = None,
        text: None = None,
        **how: Any,
    ) -> None:
        if not isinstance(lm, Pretrained) or text is not None:
            raise ValueError("fine-tuning takes a whole model: set lm=pretrained text=pretrained")
        model = lm.model
        self.base = lm.hash
        self.base_card = dict(model.config.get("card") or {})
        chosen = None if lora is None else Lora(**lora)
        if chosen is not None:
            add_adapters(model.lm, chosen)
        if isinstance(model.text, nn.Module) and model.text.trainable:
            model.text.train().requires_grad_(chosen is None)
        super().__init__(
            model.lm.train(), text=model.text, codec_folder=codec_folder or lm.folder, **how
        )
        self._codec_hash = model.codec.fingerprint()

    @property
    def plain_lm(self) -> TokenLM:
        """The language model, adapters merged: a copy, unless there are none."""
        return merged(self.lm)

    def on_fit_start(self) -> None:
        """Refuse codes that mean nothing to the model; say how much of it learns."""
        header = self._header_of_data()
        if header["codec_hash"] != self._codec_hash:
            raise ValueError(
                f"the codes to train on are of codec {header['codec_hash'][:12]}, the model's is "
                f"{self._codec_hash[:12]}: encode the sounds again with scripts/encode_tokens.py "
                "codec_folder=MODEL"
            )
        if has_adapters(self.lm) and isinstance(self.trainer.strategy, ShardedStrategy):
            raise ValueError("adapters are not trained in shares: take trainer=gpu, or ddp")
        super().on_fit_start()
        learning = sum(p.numel() for p in self._learning())
        total = learning + sum(p.numel() for p in self.parts.parameters() if not p.requires_grad)
        log.info("%d of %d parameters learn, %.2f %%", learning, total, 100 * learning / total)

    def state_dict(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Return what a checkpoint holds: with adapters, them alone."""
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        if not has_adapters(self.lm):
            return state
        kept = self._adapter_names()
        return {name: value for name, value in state.items() if name in kept}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load what `state_dict` gave.

        Raises:
            ValueError: if it is of other adapters.
        """
        if has_adapters(self.lm):
            if set(state_dict) != self._adapter_names():
                raise ValueError(
                    "the checkpoint is not of these adapters: give the module.lora that it was "
                    "trained with"
                )
            strict = False
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add which model training began with."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["base"] = self.base

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that began with another model: its adapters would mean nothing."""
        super().on_load_checkpoint(checkpoint)
        if checkpoint.get("base") != self.base:
            raise ValueError(
                f"the checkpoint began with model {str(checkpoint.get('base'))[:12]}, lm.source is "
                f"{self.base[:12]}: give the one it began with, or start a new run"
            )

    def export(
        self, folder: Path, *, card: Mapping[str, object], check: Check | None = None
    ) -> None:
        """Write an ordinary model folder, and the adapters in peft's own format beside it."""
        super().export(folder, card=self.card_of(card), check=check)
        if has_adapters(self.lm):
            save_adapters(self.lm, folder / ADAPTER_FOLDER)

    def card_of(self, card: Mapping[str, object]) -> dict[str, object]:
        """Add what is known of the base, whose licence goes on to bind what is made of it."""
        return _card_of(card, self.base_card, self.base)

    def _adapter_names(self) -> set[str]:
        return {f"parts.{name}" for name, _ in adapters(self.parts)}


def _card_of(
    card: Mapping[str, object], base: Mapping[str, object], base_hash: str
) -> dict[str, object]:
    """Add what is known of the base, whose licence goes on to bind what is made of it."""
    facts: dict[str, object] = {"fine_tuned_from": f"{base.get('name', 'a model')}, {base_hash}"}
    own = {key: value for key, value in card.items() if value is not None}
    for key in ("licence", "training_data"):
        inherited = str(base.get(key) or UNSTATED)
        said = str(own.get(key) or UNSTATED)
        facts[key] = f"base: {inherited}; fine-tuning: {said}"
    return {**own, **facts}

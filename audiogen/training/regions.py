"""Which parts of codec training torch.compile translates."""

from torch import nn

from audiogen.codec.model import Codec

MODES = ("none", "regions")


def compile_regions(codec: Codec, adversarial: nn.Module | None, *, mode: str) -> None:
    """Compile encoder, decoder and discriminator in place; names in state dicts stay.

    The quantizer stays as it is: it draws from a generator and talks to other processes, and has
    no arithmetic worth fusing. The first update of a run takes a minute or more.

    Raises:
        ValueError: if the mode is neither "none" nor "regions".
    """
    if mode not in MODES:
        raise ValueError(f"compile must be 'none' or 'regions', got {mode!r}")
    if mode == "none":
        return
    regions: list[nn.Module] = [codec.encoder, codec.decoder]
    if adversarial is not None:
        regions.append(adversarial.get_submodule("discriminator"))
    for region in regions:
        region.compile(dynamic=False)

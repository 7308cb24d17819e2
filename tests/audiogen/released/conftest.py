"""A second codec, written from the description of the published one with torch's older norms.

Its module names are those of the published layout, so its own state dict is a published state.
"""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm, weight_norm

XP_CFG = Path(__file__).parents[2] / "golden" / "xp_cfg.yaml"
SMALLER = {
    "dimension: 128": "dimension: 6",
    "n_filters: 64": "n_filters: 2",
    "ratios: [8, 5, 4, 2]": "ratios: [5, 4]",
    "lstm: 2": "lstm: 1",
    "n_q: 4": "n_q: 3",
    "bins: 2048": "bins: 16",
}


def small_text() -> str:
    """Return the text of the published configuration, of a codec of a few hundred weights."""
    text = XP_CFG.read_text(encoding="utf-8")
    for old, new in SMALLER.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def published_config(**changes: Any) -> dict[str, Any]:
    """Parse `small_text` and set values by path, a double underscore standing for the dot."""
    tree = yaml.safe_load(small_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = tree
        for parent in parents:
            node = node[parent]
        node[last] = value
    return tree


class Wrapper(nn.Module):
    """A convolution and its norm, under the published names."""

    def __init__(self, conv: nn.Module, out: int, name: str, norm: str, params: dict) -> None:
        super().__init__()
        kinds = {"weight_norm": weight_norm, "spectral_norm": spectral_norm}
        setattr(self, name, kinds.get(norm, lambda same: same)(conv))
        grouped = norm == "time_group_norm"
        self.norm = nn.GroupNorm(1, out, **params) if grouped else nn.Identity()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(getattr(self, self.name)(x))


class Conv(nn.Module):
    def __init__(self, g: dict, norm: str, a: int, b: int, k: int, stride=1, dilation=1) -> None:
        super().__init__()
        conv = nn.Conv1d(a, b, k, stride=stride, dilation=dilation)
        self.conv = Wrapper(conv, b, "conv", norm, g["norm_params"])
        self.g, self.stride, self.span = g, stride, (k - 1) * dilation + 1

    def forward(self, x: Tensor) -> Tensor:
        total, length = self.span - self.stride, x.shape[-1]
        windows = math.ceil((length - self.span + total) / self.stride + 1)
        extra = (windows - 1) * self.stride + self.span - total - length
        right = 0 if self.g["causal"] else total // 2
        left, right = total - right, right + extra
        short = max(0, max(left, right) - length + 1) if self.g["pad_mode"] == "reflect" else 0
        x = F.pad(F.pad(x, (0, short)), (left, right), mode=self.g["pad_mode"])
        return self.conv(x[..., : x.shape[-1] - short])


class ConvTranspose(nn.Module):
    def __init__(self, g: dict, norm: str, a: int, b: int, stride: int) -> None:
        super().__init__()
        conv = nn.ConvTranspose1d(a, b, 2 * stride, stride=stride)
        self.convtr = Wrapper(conv, b, "convtr", norm, g["norm_params"])
        ratio = g.get("trim_right_ratio", 1.0)
        self.right = math.ceil(stride * ratio) if g["causal"] else stride // 2
        self.left = stride - self.right

    def forward(self, x: Tensor) -> Tensor:
        y = self.convtr(x)
        return y[..., self.left : y.shape[-1] - self.right]


class Residual(nn.Module):
    def __init__(self, g: dict, norm: str, dim: int, dilation: int) -> None:
        super().__init__()
        hidden = dim // g["compress"]
        first = Conv(g, norm, dim, hidden, g["residual_kernel_size"], dilation=dilation)
        self.block = nn.Sequential(act(g), first, act(g), Conv(g, norm, hidden, dim, 1))
        self.shortcut = nn.Identity() if g["true_skip"] else Conv(g, norm, dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.block(x)


class Recurrent(nn.Module):
    def __init__(self, dim: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, layers)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.permute(2, 0, 1)
        return (self.lstm(steps)[0] + steps).permute(1, 2, 0)


def act(g: dict) -> nn.Module:
    return getattr(nn, g["activation"])(**g["activation_params"])


class Half(nn.Module):
    """Encoder or decoder; blocks are counted from the waveform, from 1."""

    def __init__(self, g: dict, *, decoder: bool) -> None:
        super().__init__()
        blocks = len(g["ratios"]) + 2
        off = g["disable_norm_outer_blocks"]
        norms = [None] + ["none" if i <= off else g["norm"] for i in range(1, blocks + 1)]
        f, top = g["n_filters"], g["n_filters"] * 2 ** len(g["ratios"])
        lstm = [Recurrent(top, g["lstm"])] if g["lstm"] else []
        build = self._decoder if decoder else self._encoder
        self.model = nn.Sequential(*build(g, norms, f, top, lstm))

    def _residuals(self, g: dict, norm: str, dim: int) -> list[nn.Module]:
        steps = range(g["n_residual_layers"])
        return [Residual(g, norm, dim, g["dilation_base"] ** j) for j in steps]

    def _encoder(self, g: dict, norms: list, f: int, top: int, lstm: list) -> list[nn.Module]:
        layers = [Conv(g, norms[1], g["channels"], f, g["kernel_size"])]
        for i, r in enumerate(reversed(g["ratios"])):
            dim, norm = f * 2**i, norms[i + 2]
            down = Conv(g, norm, dim, 2 * dim, 2 * r, stride=r)
            layers += [*self._residuals(g, norm, dim), act(g), down]
        last = Conv(g, norms[-1], top, g["dimension"], g["last_kernel_size"])
        return [*layers, *lstm, act(g), last]

    def _decoder(self, g: dict, norms: list, f: int, top: int, lstm: list) -> list[nn.Module]:
        layers = [Conv(g, norms[-1], g["dimension"], top, g["kernel_size"]), *lstm]
        for i, r in enumerate(g["ratios"]):
            dim, norm = top // 2**i, norms[-2 - i]
            up = ConvTranspose(g, norm, dim, dim // 2, r)
            layers += [act(g), up, *self._residuals(g, norm, dim // 2)]
        layers += [act(g), Conv(g, norms[1], f, g["channels"], g["last_kernel_size"])]
        if g["final_activation"]:
            params = g["final_activation_params"] or {}
            layers.append(getattr(nn, g["final_activation"])(**params))
        return layers


class Entries(nn.Module):
    def __init__(self, bins: int, dim: int) -> None:
        super().__init__()
        self._codebook = nn.Module()
        for name, shape in (("inited", [1]), ("cluster_size", [bins]), ("embed", [bins, dim])):
            self._codebook.register_buffer(name, torch.rand(shape) + 1)
        self._codebook.register_buffer("embed_avg", torch.rand(bins, dim))
        self._codebook.inited.fill_(1)
        self._codebook.embed.normal_(std=0.3)


class PlainCodec(nn.Module):
    """Build from a published configuration whose references are already values."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        shared = dict(config["seanet"])
        halves = [shared.pop("encoder"), shared.pop("decoder")]
        self.encoder = Half({**shared, **halves[0]}, decoder=False)
        self.decoder = Half({**shared, **halves[1]}, decoder=True)
        self.quantizer = nn.Module()
        self.quantizer.vq = nn.Module()
        books = [Entries(config["rvq"]["bins"], shared["dimension"])] * config["rvq"]["n_q"]
        self.quantizer.vq.layers = nn.ModuleList(copy.deepcopy(book) for book in books)
        for book in self.quantizer.vq.layers:
            book._codebook.embed.normal_(std=0.3)
        self.renormalize = config["encodec"]["renormalize"]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        scale = None
        if self.renormalize:
            scale = x.mean(1, keepdim=True).pow(2).mean(2, keepdim=True).sqrt() + 1e-8
            x = x / scale
        residual, codes = self.encoder.model(x).transpose(1, 2), []
        for book in self.quantizer.vq.layers:
            embed = book._codebook.embed
            codes.append(torch.cdist(residual.double(), embed.double()[None]).argmin(-1))
            residual = residual - embed[codes[-1]]
        return torch.stack(codes, dim=1), None if scale is None else scale.view(-1, 1)

    def decode(self, codes: Tensor, scale: Tensor | None) -> Tensor:
        books = self.quantizer.vq.layers
        entries = [book._codebook.embed[codes[:, k]] for k, book in enumerate(books)]
        y = self.decoder.model(torch.stack(entries).sum(0).transpose(1, 2))
        return y if scale is None else y * scale[:, :, None]


def build_plain(config: dict[str, Any], *, seed: int = 0) -> PlainCodec:
    """Build with no tensor at its default value, in eval mode."""
    import omegaconf

    resolved = omegaconf.OmegaConf.create(
        {k: v for k, v in config.items() if k not in ("dora", "datasource")}
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = PlainCodec(omegaconf.OmegaConf.to_container(resolved, resolve=True))
        with torch.no_grad():
            for parameter in codec.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        codec.train()  # spectral norms look for their vectors
        codec.decoder.model(codec.encoder.model(torch.randn(1, resolved.channels, 400)))
    return codec.eval()


@pytest.fixture
def plain() -> Callable[..., PlainCodec]:
    """Return `build_plain`."""
    return build_plain


@pytest.fixture
def config() -> Callable[..., dict[str, Any]]:
    """Return `published_config`."""
    return published_config


@pytest.fixture
def xp_cfg() -> str:
    """Return `small_text`."""
    return small_text()


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a published file and gives back its path."""

    def write(
        state: object = None, config: object = None, *, name: str = "codec.bin", **more: object
    ) -> Path:
        config = small_text() if config is None else config
        if state is None:
            state = build_plain(published_config()).state_dict()
        text = yaml.safe_dump(config, sort_keys=False) if isinstance(config, dict) else config
        package = {"best_state": state, "xp.cfg": text, "version": "1.4.0a2", "exported": True}
        torch.save(package | more, tmp_path / name)
        return tmp_path / name

    return write

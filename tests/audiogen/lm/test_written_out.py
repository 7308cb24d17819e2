"""The model and its generation against a second writing, from the description of the reference.

The second one has no cache, no batched heads and no layouts of ours: it is slow and plain, and
computes in float64.
"""

import math
import random

import pytest
import torch

from audiogen.lm.generate import generate_codes
from audiogen.lm.model import TokenLM
from tests.audiogen.tokens.test_layouts import written_out

ACTIVATIONS = {
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2))),
    "relu": lambda x: x.clamp(min=0),
    "silu": lambda x: x / (1 + torch.exp(-x)),
}


class Plain:
    """What a `TokenLM` computes, from its config and tensors."""

    def __init__(self, lm):
        self.config = lm.config
        self.state = {name: value.double() for name, value in lm.state_dict().items()}

    def linear(self, name, x):
        bias = self.state.get(f"{name}.bias", 0)
        return x @ self.state[f"{name}.weight"].T + bias

    def norm(self, name, x):
        if f"{name}.weight" not in self.state:
            return x
        centered = x - x.mean(-1, keepdim=True)
        scaled = centered / (centered.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def scale(self, name, x):
        return x * self.state.get(f"{name}.scale", 1)

    def attention(self, name, x, memory, seen):
        """One item [S, D] to memory [L, D]; ``seen`` [S, L] says what each step may look at."""
        projected = [self.linear(f"{name}.in_proj", source) for source in (x, memory, memory)]
        dim = x.shape[-1]
        q, k, v = (part[:, i * dim : (i + 1) * dim] for i, part in enumerate(projected))
        width = dim // self.config["num_heads"]
        heads = []
        for start in range(0, dim, width):
            head = slice(start, start + width)
            scores = (q[:, head] @ k[:, head].T / math.sqrt(width)).masked_fill(~seen, -math.inf)
            weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
            heads.append(weights @ v[:, head])
        return self.linear(f"{name}.out_proj", torch.cat(heads, dim=-1))

    def block(self, i, x, text):
        config, name = self.config, f"blocks.{i}"
        causal = torch.arange(len(x))[:, None] >= torch.arange(len(x))
        everything = torch.ones(len(x), len(text), dtype=torch.bool)

        def listen(y):
            return self.scale(
                f"{name}.scale_self", self.attention(f"{name}.self_attention", y, y, causal)
            )

        def hear(y):
            heard = self.attention(f"{name}.cross_attention", y, text, everything)
            return self.scale(f"{name}.scale_cross", heard)

        def think(y):
            hidden = ACTIVATIONS[config["activation"]](self.linear(f"{name}.mlp_in", y))
            return self.scale(f"{name}.scale_mlp", self.linear(f"{name}.mlp_out", hidden))

        if config["norm_first"]:
            x = x + listen(self.norm(f"{name}.norm_self", x))
            x = x + hear(self.norm(f"{name}.norm_cross", x))
            return x + think(self.norm(f"{name}.norm_mlp", x))
        first = self.norm(f"{name}.norm_self", x + listen(x))
        second = self.norm(f"{name}.norm_cross", first + hear(x))
        return self.norm(f"{name}.norm_mlp", second + think(second))

    def logits(self, sequence, text):
        """One item [K, S] and its projected text [L, D] -> [K, S, N]."""
        config = self.config
        dim, rows = config["dim"], config["codebook_size"] + 1
        half = dim // 2
        table = self.state["embedding.weight"]
        x = torch.stack([table[codes + k * rows] for k, codes in enumerate(sequence)]).sum(0)
        for position in range(len(x)):
            phases = [position / config["max_period"] ** (j / (half - 1)) for j in range(half)]
            wave = [*map(math.cos, phases), *map(math.sin, phases)]
            x[position] += config["position_scale"] * torch.tensor(wave).double()
        for i in range(config["num_layers"]):
            x = self.block(i, x, text.double())
        logits = self.linear("head", self.norm("norm", x))
        return logits.unflatten(-1, (config["num_codebooks"], -1)).transpose(0, 1)

    def generate(self, text, *, num_frames, scale, prompt):
        """Greedy codes [K, T] of one item, the whole sequence read anew for every step."""
        codebooks, special = self.config["num_codebooks"], self.config["codebook_size"]
        options = self.config["pattern"] or {"name": "delay", "delays": self.config["delays"]}
        steps = written_out(options, codebooks, num_frames)
        codes = torch.full((codebooks, num_frames), special)
        codes[:, : prompt.shape[-1]] = prompt
        for step in range(1, len(steps)):
            wanted = [(k, t) for k, t in steps[step] if t >= prompt.shape[-1]]
            sequence = torch.full((codebooks, step), special)
            for s, held in enumerate(steps[:step]):
                for k, t in held:
                    sequence[k, s] = codes[k, t]
            if not wanted:
                continue
            guided = self.logits(sequence, text)[:, -1]
            without = self.logits(sequence, torch.zeros_like(text))[:, -1]
            best = (without + scale * (guided - without)).argmax(-1)
            for k, t in wanted:
                codes[k, t] = best[k]
        return codes


def random_pattern(rng, codebooks):
    """One of each kind by turns, with every option it has."""
    delays = [rng.randrange(4) for _ in range(codebooks)]
    groups = [rng.randrange(2) for _ in range(codebooks - 1)]
    flattening = [0, *(min(1, group) for group in groups)]
    group_delays = [rng.randrange(3), rng.randrange(3)]
    channel = {"name": "delay", "delays": delays[: codebooks // 2], "flatten_first": 1}
    kinds = [
        {"name": "delay", "delays": delays, "flatten_first": rng.randrange(3)},
        {"name": "delay", "delays": delays, "empty_initial": rng.randrange(3)},
        {"name": "parallel", "empty_initial": rng.randrange(2)},
        {"name": "unroll"},
        {
            "name": "unroll",
            "flattening": flattening,
            "delays": [group_delays[group] for group in flattening],
        },
        {"name": "coarse_first", "delays": delays[1:]},
        {"name": "musiclm", "group_by": rng.randrange(1, codebooks + 1)},
    ]
    if codebooks % 2 == 0:
        kinds.append({"name": "stereo", "pattern": channel, "per_timestep": rng.random() < 0.5})
    return rng.choice(kinds)


def random_lm(seed):
    rng = random.Random(seed)
    heads, codebooks = rng.choice([1, 2, 3]), rng.choice([1, 2, 3, 4])
    lm = TokenLM(
        num_codebooks=codebooks,
        codebook_size=rng.choice([2, 5, 11]),
        text_dim=5,
        dim=heads * rng.choice([4, 6, 8]),
        num_layers=rng.choice([1, 2]),
        num_heads=heads,
        pattern=random_pattern(rng, codebooks),
        hidden_scale=rng.choice([1, 2.5, 4]),
        position_scale=rng.choice([1.0, 0.3]),
        max_period=rng.choice([10_000.0, 50.0]),
        norm_first=rng.random() < 0.5,
        bias_attn=rng.random() < 0.5,
        bias_ff=rng.random() < 0.5,
        bias_proj=rng.random() < 0.5,
        layer_scale=rng.choice([None, 0.1, 2.0]),
        activation=rng.choice(list(ACTIVATIONS)),
        weight_init=rng.choice(["gaussian", "uniform"]),
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in lm.parameters():  # no parameter at its initial value
            parameter += torch.randn(parameter.shape, generator=generator) * 0.3
    return lm.eval(), generator


SEEDS = range(24)


@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_logits(seed):
    lm, generator = random_lm(seed)
    plain = Plain(lm)
    sizes = {"generator": generator}
    sequence = torch.randint(0, lm.codebook_size + 1, (2, lm.num_codebooks, 6), **sizes)
    text = torch.randn(2, 3, lm.dim, generator=generator)
    mask = torch.tensor([[True, True, False], [False] * 3])
    text = text.where(mask[..., None], 0)
    padded, own = lm(sequence, text), lm(sequence, text, mask)
    for i, codes in enumerate(sequence):
        close = {"rtol": 1e-4, "atol": 1e-5}
        expected = plain.logits(codes, text[i])
        torch.testing.assert_close(padded[i].double(), expected, **close)
        length = max(1, int(mask[i].sum()))
        expected = plain.logits(codes, text[i, :length])
        torch.testing.assert_close(own[i].double(), expected, **close)


@pytest.mark.parametrize("seed", SEEDS)
@torch.no_grad()
def test_greedy_codes(seed):
    lm, generator = random_lm(seed)
    text = torch.randn(1, 3, lm.dim, generator=generator)
    num_frames = 3 + seed % 4
    given = seed % num_frames
    prompt = torch.randint(0, lm.codebook_size, (1, lm.num_codebooks, given), generator=generator)
    mask = torch.ones(1, 3, dtype=torch.bool) if seed % 2 else None
    codes = generate_codes(
        lm, text, mask, num_frames=num_frames, generators=None, guidance_scale=2.0, prompt=prompt
    )
    expected = Plain(lm).generate(text[0], num_frames=num_frames, scale=2.0, prompt=prompt[0])
    assert torch.equal(codes[0], expected)

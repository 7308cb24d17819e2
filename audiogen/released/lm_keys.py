"""Keys of a published language model's configuration: what each is called here, how it is read."""

from typing import Any

from audiogen.lm.transformer import ACTIVATIONS
from audiogen.released.keys import Read, integer, integers, number, switch, text
from audiogen.released.tables import Table

MOST = 1024  # layers or codebooks; more take minutes to build, and nobody has them
LONGEST = 100_000  # steps that a pattern may wait, half an hour of sound


def mlp_activation(value: Any) -> str:
    """Take what the MLP of `TokenLM` knows, in any case."""
    if isinstance(value, str) and value.lower() in ACTIVATIONS:
        return value.lower()
    raise TypeError(f"one of {', '.join(ACTIVATIONS)}")


def few(value: Any) -> int:
    """Take a count of parts that are built one by one."""
    if not 1 <= integer(value) <= MOST:
        raise TypeError(f"a whole number from 1 to {MOST}")
    return integer(value)


def positive(value: Any) -> float:
    """Take a number above zero."""
    if not number(value) > 0:
        raise TypeError("a number above 0")
    return number(value)


def steps(value: Any) -> int:
    """Take a count of steps of a pattern."""
    if not 0 <= integer(value) <= LONGEST:
        raise TypeError(f"a whole number from 0 to {LONGEST}")
    return integer(value)


def all_steps(value: Any) -> list[int]:
    """Take a list of counts of steps."""
    return [steps(item) for item in integers(value)]


def optional(read: Read) -> Read:
    """Let null be None."""
    return lambda value: None if value is None else read(value)


TRANSFORMER: Table = {
    "dim": ("dim", integer),
    "num_heads": ("num_heads", integer),
    "num_layers": ("num_layers", few),
    "n_q": ("num_codebooks", few),
    "card": ("codebook_size", integer),
    "hidden_scale": ("hidden_scale", positive),
    "dropout": ("dropout", number),
    "activation": ("activation", mlp_activation),
    "norm_first": ("norm_first", switch),
    "bias_ff": ("bias_ff", switch),
    "bias_attn": ("bias_attn", switch),
    "bias_proj": ("bias_proj", switch),
    "layer_scale": ("layer_scale", optional(number)),
    "max_period": ("max_period", positive),
    "positional_scale": ("position_scale", number),
}
# What files may leave out, and what it is then.
UNSAID: dict[str, Any] = {
    "hidden_scale": 4,
    "dropout": 0.0,
    "activation": "gelu",
    "layer_scale": None,
    "max_period": 10_000.0,
    "positional_scale": 1.0,
}
# Of these only one value is known: what others compute is not written down anywhere we know of.
ONLY: dict[str, Any] = {
    "positional_embedding": "sin",
    "causal": True,
    "past_context": None,
    "norm": "layer_norm",
    "xpos": False,
    "qk_layer_norm": False,
    "qk_layer_norm_cross": False,
    "kv_repeat": 1,
}
# What has no part in what a model computes here: how it is trained or initialized, which of
# several equal ways its attention takes, and cross-attention, which `fuser.cross` decides.
UNHEEDED = {
    *("emb_lr", "lr", "weight_decay", "checkpointing", "attention_dropout"),
    *("weight_init", "depthwise_init", "zero_bias_init"),
    *("custom", "memory_efficient", "attention_as_float32", "cross_attention"),
    *("two_step_cfg", "q_modeling"),
}
# Published name of a pattern -> ours, its options, and what they are when left out. An option
# that is None is left to the pattern's own default, which is the published one.
PATTERNS: dict[str, tuple[str, Table]] = {
    "delay": (
        "delay",
        {
            "delays": ("delays", optional(all_steps)),
            "flatten_first": ("flatten_first", steps),
            "empty_initial": ("empty_initial", steps),
        },
    ),
    "parallel": ("parallel", {"empty_initial": ("empty_initial", steps)}),
    "unroll": (
        "unroll",
        {
            "flattening": ("flattening", optional(all_steps)),
            "delays": ("delays", optional(all_steps)),
        },
    ),
    "coarse_first": ("coarse_first", {"delays": ("delays", optional(all_steps))}),
    "musiclm": ("musiclm", {"group_by": ("group_by", few)}),
    "music_lm": ("musiclm", {"group_by": ("group_by", few)}),  # as the section is called
}
T5: Table = {
    "name": ("name", text),
    "finetune": ("finetune", switch),
    "word_dropout": ("word_dropout", number),
    "normalize_text": ("normalize_text", switch),
}

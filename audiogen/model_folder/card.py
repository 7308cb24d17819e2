"""The model card: the README.md of a model folder, in plain words."""

from collections.abc import Mapping, Sequence
from typing import Any

# What every card answers, in this order; other keys of a card are printed after these.
QUESTIONS = {
    "name": "Name",
    "licence": "Licence",
    "training_data": "Training data",
    "stand_ins": "Stand-ins",
}
UNSTATED = {
    "name": "AudioGen model",
    "licence": "not stated: ask the author before you use its sounds",
    "training_data": "not stated",
    "stand_ins": "none stated",
}
WHAT_IT_IS = {
    "audiogen-model": (
        "A text-to-sound model: a text encoder, a language model over audio codes, and the codec\n"
        "that turns the codes into sound."
    ),
    "audiogen-codec": "A neural audio codec: it turns sound into codes, and codes into sound.",
}
USE_IT = {
    "audiogen-model": (
        "    import audiogen\n\n"
        '    model = audiogen.AudioGen.from_pretrained("path/to/this/folder")\n'
        '    sound = model.generate(["a dog barks twice"], duration=5, seed=1)  # [B, C, T]\n'
        '    audiogen.write_audio("dog.wav", sound[0], model.sample_rate)'
    ),
    "audiogen-codec": (
        "    import audiogen\n\n"
        '    codec = audiogen.Codec.from_pretrained("path/to/this/folder")\n'
        "    codes, scale = codec.encode(waveform)  # float [B, C, T] -> int64 [B, K, frames]"
    ),
}


def check_card(card: Mapping[str, object] | None) -> dict[str, object]:
    """Return the card as JSON-able values, with the unanswered questions marked as such.

    Args:
        card: answers by key: ``name``, ``licence``, ``training_data`` (a description),
            ``stand_ins`` (what replaces the real thing, one line each), and any other fact.

    Raises:
        ValueError: if a value is neither text, a number nor a list of those.
    """
    filled: dict[str, object] = {**UNSTATED, **(card or {})}
    return {key: _plain(key, value) for key, value in filled.items()}


def describe_part(config: Mapping[str, object]) -> str:
    """Say in words what a part with a ``_type`` is.

    >>> describe_part({"_type": "hashed", "dim": 128, "num_buckets": 1024})
    'hashed (dim 128, num buckets 1024)'
    """
    if "encoders" in config:
        parts: Any = config["encoders"]
        described = [f"{name}: {describe_part(part)}" for name, part in parts.items()]
        return f"{config['_type']} ({'; '.join(described)})"
    numbers = [f"{k.replace('_', ' ')} {v}" for k, v in config.items() if k != "_type"]
    return f"{config['_type']} ({', '.join(numbers)})"


def _plain(key: str, value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Sequence) and all(isinstance(item, str | int | float) for item in value):
        return list(value)
    raise ValueError(
        f"card entry {key!r} must be text, a number or a list of those, "
        f"got {type(value).__name__}: describe it in words"
    )


def render_card(card: Mapping[str, object], facts: Mapping[str, object], *, kind: str) -> str:
    """Return the text of README.md.

    Args:
        card: as `check_card` returns it.
        facts: numbers read off the model (sample rate, sizes, hashes).
        kind: "audiogen-model" or "audiogen-codec".
    """
    lines = [f"# {card['name']}", "", WHAT_IT_IS[kind], ""]
    for key, value in card.items():
        if key != "name":
            lines += [f"## {QUESTIONS.get(key, key.replace('_', ' ').capitalize())}", ""]
            lines += [*(_bullets(value) if isinstance(value, list) else [str(value)]), ""]
    lines += ["## Facts", "", *[f"- {key}: {value}" for key, value in facts.items()], ""]
    lines += ["## Use", "", USE_IT[kind], ""]
    return "\n".join(lines)


def _bullets(values: list[object]) -> list[str]:
    return [f"- {value}" for value in values] or ["none"]

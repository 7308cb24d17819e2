"""The model card: the README.md of a model folder, in plain words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

# What every card answers, in this order; other keys of a card are printed after these.
QUESTIONS = {
    "name": "Name",
    "licence": "Licence",
    "training_data": "Training data",
    "stand_ins": "Stand-ins",
    "made_from": "Made from",
    "measured": "Measured",
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
    "transformers": (
        "A text-to-sound model for MusicgenForConditionalGeneration of transformers: a T5 text\n"
        "encoder, a language model over audio codes, and an EnCodec that turns them into sound."
    ),
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
    "transformers": (
        "    from transformers import AutoProcessor, MusicgenForConditionalGeneration\n\n"
        '    folder = "path/to/this/folder"\n'
        "    processor = AutoProcessor.from_pretrained(folder)\n"
        "    model = MusicgenForConditionalGeneration.from_pretrained(folder)\n"
        '    inputs = processor(text=["a dog barks twice"], padding=True, return_tensors="pt")\n'
        "    sound = model.generate(**inputs, max_new_tokens=STEPS)  # [B, C, T]; see Facts"
    ),
}
# The header that the hub reads, by kind: what it is listed under, and what loads it.
LISTED = {
    "audiogen-model": ("text-to-audio", "audiogen"),
    "audiogen-codec": ("audio-to-audio", "audiogen"),
    "transformers": ("text-to-audio", "transformers"),
}
LICENCES = (  # identifiers of the hub, those first that forbid most
    *("cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-4.0", "cc-by-sa-4.0", "cc-by-4.0"),
    *("cc0-1.0", "apache-2.0", "mit", "bsd-3-clause", "gpl-3.0"),
)
PARENTS = ("made_from", "fine_tuned_from")  # entries of a card; the name goes before a comma
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w-][\w.-]*")


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


def inherited(base: Mapping[str, object], card: Mapping[str, object]) -> dict[str, object]:
    """Return a card with entries replaced, but for a licence: that of the base goes on to bind.

    >>> inherited({"licence": "CC-BY-NC-4.0"}, {"licence": "MIT"})["licence"]
    'CC-BY-NC-4.0, as what it was made from; MIT for what was added'
    """
    old, new = str(base.get("licence", "")), str(card.get("licence", ""))
    stated = bool(old) and not old.startswith("not stated")
    if stated and new and old not in new:
        card = {**card, "licence": f"{old}, as what it was made from; {new} for what was added"}
    return {**base, **card}


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
        kind: "audiogen-model", "audiogen-codec" or "transformers".
    """
    lines = [*_header(card, kind), f"# {card['name']}", "", WHAT_IT_IS[kind], ""]
    for key, value in card.items():
        if key != "name":
            lines += [f"## {QUESTIONS.get(key, key.replace('_', ' ').capitalize())}", ""]
            lines += [*(_bullets(value) if isinstance(value, list) else [str(value)]), ""]
    lines += ["## Facts", "", *[f"- {key}: {value}" for key, value in facts.items()], ""]
    lines += ["## Use", "", USE_IT[kind], ""]
    return "\n".join(lines)


def _header(card: Mapping[str, object], kind: str) -> list[str]:
    """Return the lines, YAML between two rules, by which the hub lists a model."""
    task, library = LISTED[kind]
    lines = ["---", f"license: {licence_id(card['licence'])}"]
    if lines[-1].endswith("other"):
        lines += ["license_name: see-below", "license_link: README.md"]
    lines += [f"pipeline_tag: {task}", f"library_name: {library}"]
    if kind != "audiogen-codec":
        lines += ["language:", *(f"- {name}" for name in _listed(card.get("language", "en")))]
    named = [name for key in PARENTS for name in _listed(card.get(key, []))]
    parents = [name for name in (n.partition(",")[0] for n in named) if HUB_ID.fullmatch(name)]
    if parents:
        lines += ["base_model:", *(f"- {name}" for name in parents)]
    return [*lines, "tags:", "- audio", "- audiogen", "- sound-effects", "---", ""]


def licence_id(licence: object) -> str:
    """Return the hub's identifier of a licence in words.

    >>> licence_id("CC-BY-NC-4.0, as that of the model it was made from"), licence_id("mine")
    ('cc-by-nc-4.0', 'other')
    """
    words = str(licence).lower()
    known = [n for n in LICENCES if re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", words)]
    if "not stated" in words:  # all of it, or of what it was made from
        stated = [] if words.startswith("not stated") else [n for n in known if "-nc" in n]
        return next(iter(stated), "unknown")
    return next(iter(known), "other")


def _listed(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def _bullets(values: list[object]) -> list[str]:
    return [f"- {value}" for value in values] or ["none"]

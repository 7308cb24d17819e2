"""A trained model -> the folder of the package.

    python -m recipes.embedded.build --model MODEL --out OUT [--scores JSON --prompts JSON]

Rounds the weights to float16, reads what it wrote again and certifies that it gives the same codes,
writes the words of the captions beside it, and says in the card what the model is and, once there
are --scores and --prompts, how far it follows a caption.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from audiogen.certificate import FRAMES, certify_as, witness_of
from audiogen.checkpoint import load_model, save_model
from audiogen.data.synthetic import FAMILIES
from audiogen.data.synthetic_phrases import vocabulary
from audiogen.embedded import LARGEST, WORDS
from audiogen.files import replacing
from audiogen.model_folder.half import round_to_half
from audiogen.model_folder.parts import Model
from recipes.command import Parser, exit_code

LIMITS = (
    "twelve families of sound and no other: no speech, no music, no voices of people",
    "two pitches, two rates, two levels, counts of one to three, of the families that have them; "
    "words between are taken for the nearest",
    "one source at a time: \"a dog barks while rain falls\" gives one of the two, or neither",
    "the sounds it learned are procedural, and so is how it sounds; it is here to try things out",
    "words that no caption had are passed over as far as training with meaningless words taught it",
)  # fmt: skip
SETS = {
    "real": "real clips",
    "roundtrip": "codec round trips, the ceiling",
    "generated": "generated, guidance 3",
    "unguided": "generated without guidance",
    "shuffled": "generated, against shuffled captions, the floor",
}


def build(model: Model, out: Path, *, measured: list[str]) -> Path:
    """Write the folder of the package.

    Raises:
        ValueError: if the codec was not rounded before its codes were made, or the folder is
            larger than `audiogen.embedded.LARGEST`.
    """
    exact, trained = model.codec.fingerprint(), witness_of(model, frames=FRAMES)
    for part in (model.text, model.lm, model.codec):
        assert isinstance(part, nn.Module)
        round_to_half(part)
    if model.codec.fingerprint() != exact:
        raise ValueError(
            "rounding changes the codec, so the language model learned the codes of another: "
            "round the codec by recipes.embedded.half, encode the sounds and train again"
        )
    out.mkdir(parents=True, exist_ok=True)
    card = _card(model.config["card"], measured)
    save_model(
        out,
        text=model.text,
        lm=model.lm,
        codec=model.codec,
        max_duration=model.max_duration,
        card=card,
        half=True,
        check=certify_as(
            "folder",
            model,
            {"trained": trained, "rounded": witness_of(model, frames=FRAMES)},
            frames=FRAMES,
        ),
    )
    with replacing(out / WORDS) as path:
        path.write_text("".join(f"{word}\n" for word in sorted(vocabulary())), encoding="utf-8")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if size > LARGEST:
        raise ValueError(f"{out} has {size} bytes, and {LARGEST} fit: train a smaller model")
    return out


def _card(trained: Mapping[str, object], measured: list[str]) -> dict[str, object]:
    facts = {key: value for key, value in trained.items() if key in ("updates", "weights", "run")}
    return {
        "name": "The embedded model of AudioGen",
        "licence": "CC0-1.0",
        "training_data": "procedural sounds of recipes.datasets.synthetic alone (CC0-1.0), with "
        "sentences of recipes.embedded.captions; no recording, no other network",
        "stand_ins": "hashed words instead of a pretrained text encoder",
        "what_it_knows": ", ".join(FAMILIES),
        "what_it_does_not": list(LIMITS),
        "how_far_it_follows_a_caption": measured or "not measured",
        **facts,
        "weights_rounded_to": "float16; computed in float32",
    }


def say(scores: Mapping[str, Any], prompts: Mapping[str, Any]) -> list[str]:
    """Put what was measured into lines: accuracies of a probe, with 95 % intervals."""
    main = scores["probe"]["main"]
    lines = [
        f"accuracies of a small network trained on other real clips, N = {scores['n']} captions "
        "that no training clip has, 95 % intervals in brackets; a judge of this recipe, no "
        "published metric"
    ]
    for name, title in SETS.items():
        labels = scores["sets"][name]["labels"]
        rest = [f"{label} {_share(value)}" for label, value in labels.items() if label != main]
        lines.append(f"{title}: {main} {_share(labels[main])}; {', '.join(rest)}")
    rows = [
        f"{row['name']} {row['accuracy']['generated']:.2f} at {row['rms_ratio']['generated']:.2f}"
        for row in scores["classes"]
    ]
    lines.append(f"generated, accuracy at RMS over that of real clips: {', '.join(rows)}")
    free = prompts["family"]
    lines.append(
        f"prompts of people's own ({prompts['prompts']}, {prompts['seeds']} sounds each): "
        f"{main} {_share(free)}"
    )
    return lines


def _share(value: Mapping[str, Any]) -> str:
    if value["accuracy"] is None:
        return "not said"
    return f"{value['accuracy']:.2f} ({value['low']:.2f} to {value['high']:.2f})"


def main(argv: list[str] | None = None) -> int:
    """Read, round, write, print the folder."""
    parser = Parser(prog="python -m recipes.embedded.build")
    parser.add_argument("--model", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--scores", type=Path, default=None, help="of recipes.demo.score")
    parser.add_argument("--prompts", type=Path, default=None, help="of recipes.embedded.prompts")
    args = parser.parse_args(argv)
    try:
        measured = []
        if args.scores and args.prompts:
            said = [json.loads(path.read_text("utf-8")) for path in (args.scores, args.prompts)]
            measured = say(*said)
        print(build(load_model(args.model), args.out, measured=measured))
    except (ValueError, OSError) as error:
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())

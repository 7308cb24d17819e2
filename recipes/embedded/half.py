"""Round a model folder to float16: python -m recipes.embedded.half MODEL OUT

The weights keep the values that float16 has for them, so what is written in half the bytes is
exactly what was measured. A codec is rounded before the sounds become codes: the language model
learns the codes that the rounded codec writes.
"""

import sys
from pathlib import Path

from audiogen.checkpoint import find_folder, load_codec, read_model_config, save_codec
from audiogen.model_folder.half import round_to_half
from recipes.command import Parser, exit_code


def main(argv: list[str] | None = None) -> int:
    """Read a codec, round it, write it, print its folder."""
    parser = Parser(prog="python -m recipes.embedded.half")
    parser.add_argument("source", type=Path, help="folder of a codec")
    parser.add_argument("out", type=Path, help="folder to write")
    args = parser.parse_args(argv)
    try:
        codec = load_codec(args.source)
        round_to_half(codec)
        card = read_model_config(find_folder(args.source))["card"]
        print(save_codec(codec, args.out, card=card | {"weights_rounded_to": "float16"}))
    except (ValueError, OSError) as error:
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())

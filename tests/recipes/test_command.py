import errno

import pytest

from recipes.command import Parser, exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("a\nb"), 2),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "x"), 2),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 1),
    ],
)
def test_exit_codes(capsys, error, code):
    assert exit_code(error) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_wrong_arguments_are_one_line(capsys):
    parser = Parser(prog="p")
    parser.add_argument("--seed", type=int)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--seed", "x"])
    said = "error: argument --seed: invalid int value: 'x'; see p --help\n"
    assert capsys.readouterr().err == said

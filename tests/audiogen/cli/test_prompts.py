"""Prompts from arguments and files; what is no prompt is named by file and line."""

import pytest

from audiogen.cli.prompts import gather_prompts


def gather(path, text, *, seed=1):
    path.write_text(text, encoding="utf-8")
    return gather_prompts([], path, seed=seed)


def test_each_prompt_draws_from_its_place_in_the_list(tmp_path):
    file = tmp_path / "p.txt"
    file.write_text("rain\n\n  a  dog \n")
    prompts = gather_prompts(["wind"], file, seed=7)
    assert [(p.text, p.seed, p.item) for p in prompts] == [
        ("wind", 7, 0),
        ("rain", 7, 1),
        ("a dog", 7, 2),
    ]


def test_jsonl_and_manifests(tmp_path):
    lines = '{"prompt": "rain", "seed": 3, "item": 4}\n{"id": "a", "captions": ["dog", "hound"]}\n'
    prompts = gather(tmp_path / "p.jsonl", lines)
    assert [(p.text, p.seed, p.item, p.name) for p in prompts] == [
        ("rain", 3, 4, None),
        ("dog", 1, 1, "a"),
    ]


def test_csv_as_a_spreadsheet_saves_it(tmp_path):
    prompts = gather(tmp_path / "p.csv", '\ufeffPrompt , Seed\r\n"rain, wind",\r\n雨,8\r\n')
    assert [(p.text, p.seed, p.item) for p in prompts] == [("rain, wind", 1, 0), ("雨", 8, 0)]


def test_whole_numbers_as_pandas_writes_them(tmp_path):
    """A column with an empty cell is one of floats there."""
    prompts = gather(tmp_path / "p.csv", "prompt,seed,item\nrain,1.0,2.0\nwind,,\ndog,-10.0,\n")
    assert [(p.seed, p.item) for p in prompts] == [(1, 2), (1, 1), (-10, 0)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "words\nrain\n", "p.csv:1: expected a header with a column prompt or caption"),
        ("p.csv", "", "p.csv:1: expected a header.*got nothing"),
        ("p.csv", "prompt\nrain, wind\n", "p.csv:2: more fields than the header has columns"),
        ("p.csv", "prompt,seed\nrain,x\n", "p.csv:2: seed must be a whole number, got 'x'"),
        ("p.csv", "prompt,seed\nrain,1.5\n", "p.csv:2: seed must be a whole number, got '1.5'"),
        ("p.csv", "prompt,seed\nrain,.0\n", "p.csv:2: seed must be a whole number, got '.0'"),
        ("p.csv", "id,prompt\na,\n", "p.csv:2: no prompt in this line"),
        ("p.csv", "id,prompt\n../a,rain\n", "p.csv:2: id '../a' cannot name a file"),
        ("p.csv", "id,prompt\na,rain\na,dog\n", "id or name a stands on more than one line"),
        ("p.jsonl", '{"prompt": "rain"}\nrain\n', "p.jsonl:2: not JSON"),
        ("p.csv", 'prompt,id\n"rain,a\nwind,b\n', "p.csv: a quotation mark is never closed"),
        ("p.csv", "prompt\n" + "w" * 200000, "p.csv: field larger than field limit"),
        ("p.csv", 'id,prompt\n"a\nb",rain\n', "p.csv:3: id .* cannot name a file"),
        ("p.csv", "id,prompt\na\0,rain\n", "p.csv:2: id .* cannot name a file"),
        ("p.jsonl", "[" * 100000, "p.jsonl:1: not JSON"),
        ("p.jsonl", '{"prompt": "\\ud800 rain"}\n', "p.jsonl:1: .* holds half characters"),
        ("p.jsonl", '{"prompt": "rain", "id": "\\ud800"}\n', "p.jsonl:1: id .* cannot name a file"),
        ("p.jsonl", '["rain"]\n', "p.jsonl:1: expected an object"),
        ("p.jsonl", '{"prompt": 3}\n', "p.jsonl:1: no prompt in this line"),
        ("p.txt", "\n \n", "p.txt holds no prompt"),
        ("p.xls", "rain", "ends in .csv, .jsonl or .txt"),
    ],
)
def test_mistakes_are_named_by_file_and_line(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        gather(tmp_path / name, text)


def test_no_prompt_at_all(tmp_path):
    with pytest.raises(ValueError, match="no prompt given: for example"):
        gather_prompts([], None, seed=0)
    with pytest.raises(ValueError, match="prompt 1: no prompt in this line"):
        gather_prompts(["  "], None, seed=0)
    with pytest.raises(FileNotFoundError, match=r"no prompts file .*none\.csv"):
        gather_prompts([], tmp_path / "none.csv", seed=0)
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe\x00r")
    with pytest.raises(ValueError, match="save it as UTF-8"):
        gather_prompts([], tmp_path / "p.txt", seed=0)


def test_a_name_names_the_file_where_there_is_no_id(tmp_path):
    """As the pairs of an evaluation are found by name."""
    path = tmp_path / "p.csv"
    path.write_text("id,name,caption\n,clip-1,rain\nown,clip-2,a dog\n,,wind\n")
    assert [p.name for p in gather_prompts([], path, seed=0)] == ["clip-1", "own", None]
    path.write_text("name,caption\na/b,rain\n")
    with pytest.raises(ValueError, match="name 'a/b' cannot name a file"):
        gather_prompts([], path, seed=0)

"""Prompts from arguments and files; what is no prompt is named by file and line."""

import io
import os
import sys
import threading
from itertools import chain
from pathlib import Path

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
        ("p.csv", "id,prompt\na,rain\na,dog\n", "p.csv:3: id or name a.*p.csv:2 has it too"),
        ("p.csv", "id,prompt\nRain,a\nrain,b\n", "p.csv:3: id or name rain .*2 has it as Rain"),
        ("p.csv", "id,prompt\ncaf\u00e9,a\ncafe\u0301,b\n", "p.csv:3: id or name .* has it as"),
        ("p.csv", "id,prompt\na.wav,rain\na.mp3,b\n", "p.csv:3: id or name a stands"),
        ("p.csv", "id,prompt\nAux,rain\n", "p.csv:2: id 'Aux' .* Windows keeps that name"),
        ("p.csv", "prompt,duration\nrain,0\n", "p.csv:2: duration must be more than 0"),
        ("p.csv", "prompt,duration\nrain,-2\n", "p.csv:2: duration must be more than 0"),
        ("p.csv", "prompt,duration\nrain,nan\n", "p.csv:2: duration must be a number, got 'nan'"),
        ("p.csv", "prompt,guidance_scale\nrain,much\n", "p.csv:2: guidance_scale must be a number"),
        ("p.csv", "prompt,seed,seed\nrain,1,2\n", "p.csv:1: column seed stands there twice"),
        ("p.csv", "\n\n", "p.csv:1: expected a header .*got nothing"),
        ("p.csv", "prompt;id\n", "p.csv holds no prompt"),
        ("p.jsonl", '{"prompt": "rain", "seed": true}\n', "p.jsonl:1: seed must be a whole number"),
        ("p.jsonl", '{"prompt": "rain"}\nrain\n', "p.jsonl:2: not JSON"),
        (
            "p.jsonl",
            '{"prompt": "a", "prompt": "b"}\n',
            "p.jsonl:1: .*key 'prompt' stands there twi",
        ),
        ("p.csv", 'prompt,id\n"rain,a\nwind,b\n', "p.csv: a quotation mark is never closed"),
        ("p.csv", "prompt\n" + "w" * 200000, "p.csv: field larger than field limit"),
        ("p.csv", 'id,prompt\n"a\nb",rain\n', "p.csv:3: id .* cannot name a file"),
        ("p.csv", "id,prompt\na\0,rain\n", "p.csv:2: not text, it holds NUL"),
        ("p.txt", "dog\nra\0in\n", "p.txt:2: not text"),
        ("p.jsonl", '{"prompt": "ra\0in"}\n', "p.jsonl:1: not text"),
        ("p.jsonl", '{"prompt": "ra\\u0000in"}\n', "p.jsonl:1: not text"),
        ("p.jsonl", '{"prompt": "rain", "id": true}\n', "p.jsonl:1: id 'True' cannot name a file"),
        ("p.jsonl", '{"prompt": "rain", "id": ["a"]}\n', "p.jsonl:1: id .* cannot name a file"),
        ("p.jsonl", "[" * 100000, "p.jsonl:1: not JSON"),
        ("p.jsonl", '{"prompt": "\\ud800 rain"}\n', "p.jsonl:1: .* holds half characters"),
        ("p.jsonl", '{"prompt": "rain", "id": "\\ud800"}\n', "p.jsonl:1: id .* cannot name a file"),
        ("p.jsonl", '["rain"]\n', "p.jsonl:1: expected an object"),
        ("p.jsonl", '{"prompt": 3}\n', "p.jsonl:1: no prompt in this line"),
        ("p.txt", "\n \n", "p.txt holds no prompt"),
        ("p.xls", "rain", "ends in .csv, .tsv, .jsonl or .txt"),
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
    with pytest.raises(FileNotFoundError, match=r"prompts file .*none\.csv is not there"):
        gather_prompts([], tmp_path / "none.csv", seed=0)
    (tmp_path / "p.txt").write_bytes("rain".encode("utf-16"))
    with pytest.raises(ValueError, match="not text in UTF-8 but in UTF-16: save it as UTF-8"):
        gather_prompts([], tmp_path / "p.txt", seed=0)
    (tmp_path / "p.txt").write_bytes("rain\nHündchen\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"p.txt is not text in UTF-8 \(line 2\): save it"):
        gather_prompts([], tmp_path / "p.txt", seed=0)
    for name in ("p.txt", "p.csv", "p.jsonl"):
        (tmp_path / name).write_bytes("rain\n".encode("utf-16-le"))
        with pytest.raises(ValueError, match=f"{name}:1: not text"):
            gather_prompts([], tmp_path / name, seed=0)
    with pytest.raises(FileNotFoundError, match="is a device, neither a file nor a pipe"):
        gather_prompts([], Path("/dev/zero"), seed=0)
    with pytest.raises(FileNotFoundError, match="is a folder, not a file"):
        gather_prompts([], tmp_path, seed=0)


def test_a_name_names_the_file_where_there_is_no_id(tmp_path):
    """As the pairs of an evaluation are found by name."""
    path = tmp_path / "p.csv"
    path.write_text("id,name,caption\n,clip-1,rain\nown,clip-2,a dog\n,,wind\n")
    assert [p.name for p in gather_prompts([], path, seed=0)] == ["clip-1", "own", None]
    path.write_text("name,caption\na/b,rain\n")
    with pytest.raises(ValueError, match="name 'a/b' cannot name a file"):
        gather_prompts([], path, seed=0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "id;caption;duration\n1;rain, wind;2.5\n;;\n\n2;a dog;\n"),
        ("p.csv", "\ufeffid\tcaption\tduration\r\n1\train, wind\t2.5\r\n\t\t\r\n2\ta dog\t\r\n"),
        ("p.tsv", "id\tcaption\tduration\n1\train, wind\t2.5\n2\ta dog\t\n"),
        ("p.csv", 'caption,id,duration\n"rain, wind",1,2.5\n,,\na dog,2\n'),
    ],
)
def test_tables_of_every_spreadsheet(tmp_path, name, text):
    """Semicolons, tabs, byte order marks, rows of nothing but signs between cells, short rows."""
    found = [(p.name, p.text, p.duration) for p in gather(tmp_path / name, text)]
    assert found == [("1", "rain, wind", 2.5), ("2", "a dog", None)]


@pytest.mark.parametrize(
    "text", ["rain\na dog\n", "id;prompt\n;rain\n;a dog\n", '{"text": "rain"}\n{"text": "a dog"}']
)
def test_a_pipe_and_stdin_are_known_by_their_first_line(tmp_path, monkeypatch, text):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=[text])
    writer.start()
    piped = gather_prompts([], tmp_path / "pipe", seed=0)
    writer.join()
    assert [p.text for p in piped] == ["rain", "a dog"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert gather_prompts([], Path("-"), seed=0) == piped
    with pytest.raises(ValueError, match="stdin holds no prompt"):
        gather_prompts([], Path("/dev/stdin"), seed=0)


def test_columns_that_are_not_used_are_named(tmp_path, capsys):
    gather(tmp_path / "p.csv", "prompt,sede,id\nrain,3,a\n")
    assert "p.csv: not used: column sede" in capsys.readouterr().err
    gather(tmp_path / "p.csv", "prompt,a\x1b[31m\nrain,3\n")
    assert r"not used: column a\x1b[31m" in capsys.readouterr().err


def test_a_row_may_have_its_own_length_and_guidance(tmp_path):
    lines = '{"prompt": "rain", "duration": 3, "guidance_scale": "1.5"}\n{"prompt": "dog"}\n'
    prompts = gather(tmp_path / "p.jsonl", lines)
    assert [(p.duration, p.guidance_scale) for p in prompts] == [(3.0, 1.5), (None, None)]


def test_the_length_in_a_manifest_is_that_of_its_clip(tmp_path):
    line = '{"id": "a", "path": "a.wav", "duration": 9.98, "captions": ["rain"]}\n'
    assert gather(tmp_path / "p.jsonl", line)[0].duration is None


def test_variations_are_what_the_next_seeds_give(tmp_path):
    text = "id,caption,seed\na,rain,\nb,dog,40\n"
    prompts = gather_prompts(["wind"], _written(tmp_path / "p.csv", text), seed=7, variations=2)
    assert [(p.text, p.seed, p.item, p.name) for p in prompts] == [
        ("wind", 7, 0, None),
        ("wind", 8, 0, None),
        ("rain", 7, 1, "a_1"),
        ("rain", 8, 1, "a_2"),
        ("dog", 40, 0, "b_1"),
        ("dog", 41, 0, "b_2"),
    ]
    other = gather_prompts(["wind"], tmp_path / "p.csv", seed=8)
    assert [(p.seed, p.item) for p in other[:2]] == [(p.seed, p.item) for p in prompts[1:4:2]]


def test_variations_of_one_name_are_not_another_name(tmp_path):
    file = _written(tmp_path / "p.csv", "id,caption\na,rain\na_1,dog\n")
    assert len(gather_prompts([], file, seed=0)) == 2
    assert len(gather_prompts([], file, seed=0, variations=2)) == 4
    file = _written(tmp_path / "p.csv", "id,caption\na,rain\nb,wind\nA,dog\n")
    with pytest.raises(ValueError, match=r"p.csv:4: id or name A_1 .*p.csv:2 has it as a_1"):
        gather_prompts([], file, seed=0, variations=2)


def test_shards_are_all_of_it_once(tmp_path):
    file = _written(tmp_path / "p.txt", "\n".join(f"rain {n}" for n in range(10)))
    whole = gather_prompts([], file, seed=3, variations=3)
    parts = [gather_prompts([], file, seed=3, variations=3, shard=(i, 7)) for i in range(1, 8)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    pairs = [(p.item, p.seed) for p in chain(*parts)]
    assert sorted(pairs) == sorted((p.item, p.seed) for p in whole)
    assert gather_prompts(["rain"], None, seed=0, shard=(2, 2)) == []


def test_a_sound_of_a_list_can_be_made_alone():
    listed = gather_prompts(["wind", "rain", "dog"], None, seed=4)
    assert gather_prompts(["dog"], None, seed=4, item=2) == listed[2:]


def test_a_hundred_thousand_rows(tmp_path):
    """Names are compared by looking them up: were they counted one by one, this would not end."""
    rows = (f'clip-{n},"rain, and dog {n} barks twice at the wind",{n}' for n in range(100_000))
    file = _written(tmp_path / "p.csv", "id,caption,seed\n" + "\n".join(rows))
    prompts = gather_prompts([], file, seed=0, shard=(3, 4))
    assert len(prompts) == 25_000
    assert (prompts[0].name, prompts[-1].name) == ("clip-2", "clip-99998")
    assert sys.getsizeof(prompts[0]) < 120  # bytes, and what it says; no dictionary each
    assert not hasattr(prompts[0], "__dict__")


def _written(path, text):
    path.write_text(text, encoding="utf-8")
    return path

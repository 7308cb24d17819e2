import pytest

from evaluation.captions import CaptionError, read_captions
from evaluation.labels import LabelError, read_labels

LOST = [
    ("csv", "file,TEXT\nb.wav,rain\na.wav,a dog, then a bell\n", ":3: 3 fields for 2 columns. Put"),
    ("csv", 'file,TEXT\na.wav,"rain"\n\nb.wav,dog,\n', ":4: 3 fields for 2 columns"),
    ("csv", "file,TEXT,TEXT\na.wav,first,second\n", ":1: two columns are called 'TEXT'"),
    ("jsonl", '{"file": "a", "TEXT": "x", "TEXT": "y"}\n', ":1: the key 'TEXT' is there twice"),
]


@pytest.mark.parametrize(("suffix", "text", "said"), LOST)
@pytest.mark.parametrize(
    ("read", "column", "error"),
    [(read_captions, "caption", CaptionError), (read_labels, "class", LabelError)],
)
def test_what_would_be_lost_without_a_word_is_refused(
    tmp_path, suffix, text, said, read, column, error
):
    path = tmp_path / f"table.{suffix}"
    path.write_text(text.replace("TEXT", column))
    with pytest.raises(error) as caught:
        read(path)
    assert f"{path}{said.replace('TEXT', column)}" in str(caught.value)


def test_columns_that_nobody_named_do_no_harm(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('file,caption,,\na.wav,"a dog, then a bell",,\n')  # as spreadsheets save them
    assert read_captions(path) == {"a": ("a dog, then a bell",)}

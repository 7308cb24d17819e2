import json

import pytest

from recipes.datasets.captions import caption_from_name, look_up, read_side_car, read_table


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("dog_bark-01.wav", "dog bark"),
        ("dog bark (2).wav", "dog bark"),
        ("RainOnTinRoof2.flac", "rain on tin roof"),
        ("DOG_BARK_01.WAV", "dog bark"),
        ("a dog barks twice.wav", "a dog barks twice"),
        ("Rain On Tin Roof 2m_take3.wav", "rain on tin roof"),
        ('dog\'s "best" bark, 24_96 [XY].wav', "dog's best bark"),
        ("Chris&#39;s Elevator.wav", "chris's elevator"),
        (" typical neighborhood in Porto.wav", "typical neighborhood in porto"),
        ("cafe\u0301 noise.wav", "café noise"),
        ("雨の音.wav", "雨の音"),
        ("ANMLDog_Big Bark 01_KJP_ESC10.wav", "dog big bark"),
        ("COMType_Typewriter Single Strike 1 DPA4060_PMSFX_CWT.wav", "typewriter single strike"),
        ("LASRMisc_Beam Transient_04_SFRMS_SCIWPNS.wav", "beam transient"),
        ("Glock_18_1m_left_MKH416_clean_Six_shots_x_1.wav", "glock left clean six shots"),
        ("Crowd Exterior _5.1 LCRLsRsLf.wav", "crowd exterior"),
        ("Bluezone_BC0271_tank_cannon_shot_012.wav", "bluezone tank cannon shot"),
        ("train.wav", "train"),
        ("dog/003.wav", "dog"),
        ("dog/bark_01.wav", "dog bark"),
        ("animals/dog barking/dog.wav", "barking dog"),
        ("train/rain.wav", "rain"),
        ("sounds/rain.wav", "rain"),
        ("train/003.wav", None),
        ("1-110389-A-0.ogg", None),
        ("recording 12.wav", None),
        ("ZOOM0001.WAV", None),
        ("0001.wav", None),
    ],
)
def test_names(name, caption):
    assert caption_from_name(name) == caption


@pytest.mark.parametrize(
    "text",
    [
        'file,caption\nb/x y.wav,"a dog, barking"\nb/x y.wav,a dog\nq.wav,rain\n',
        "filename;caption_1;caption_2\nb/x y.wav;a dog, barking;a dog\nq.wav;rain;\n",
        "name\ttext\nb\\x y.wav\ta dog, barking\nb\\x y.wav\ta dog\nq.wav\train\n",
        'id|Path|Description\n1|./b/x y.wav|"[""a dog, barking"", ""a dog""]"\n2|q.wav|rain\n\n',
    ],
    ids=["commas", "semicolons", "tabs", "bars"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables(tmp_path, text, encoding):
    path = tmp_path / "captions.csv"
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert read_table(path) == {"b/x y.wav": ["a dog, barking", "a dog"], "q.wav": ["rain"]}


def test_a_table_of_a_spreadsheet_that_does_not_say_its_encoding(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_bytes("file,caption\nx.wav,café terrace\n".encode("cp1252"))
    assert read_table(path) == {"x.wav": ["café terrace"]}


@pytest.mark.parametrize("text", ["", "sound,words\nx.wav,rain\n", "file,words\nx.wav,rain\n"])
def test_a_table_without_the_columns(tmp_path, text):
    path = tmp_path / "captions.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"captions\.csv: the first line must name a file column"):
        read_table(path)


def test_a_cell_that_is_no_caption(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text(f"file,caption\nx.wav,rain\ny.wav,{'w' * 2001}\n")
    with pytest.raises(ValueError, match=r"captions\.csv:3: a caption is longer than 2000"):
        read_table(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'file,caption\nx.wav,rain\ny.wav,"wind\nz.wav,hail\n', r":3: a quotation mark is never"),
        (b'file,caption\nx.wav,"' + b"w" * 200000 + b"\n", ":2: field larger than field limit"),
        (b"\xff\xfef\0i\0l", ": not the UTF-16 it says it is"),
    ],
)
def test_tables_that_cannot_be_read_to_their_end(tmp_path, content, message):
    path = tmp_path / "captions.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"captions\.csv" + message):
        read_table(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,caption\na.wav,rain\nb.wav,a dog, then a bell\n", r"t\.csv:3: 3 fields for 2 col"),
        ("file;caption;Caption\na.wav;first;second\n", r"t\.csv:1: two columns are called 'cap"),
    ],
)
def test_no_part_of_a_table_is_lost_without_a_word(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_table(path)


def test_quotation_marks_within_text_are_text(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text('file,caption\nx.wav,a 5" nail\ny.wav,"Hush" she said\nz.wav,"a ""b"" c"\n')
    table = {"x.wav": ['a 5" nail'], "y.wav": ["Hush she said"], "z.wav": ['a "b" c']}
    assert read_table(path) == table


def test_a_name_too_long_for_a_side_car_has_none(tmp_path):
    assert read_side_car(tmp_path / f"{'x' * 250}.wav") == []


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"no\.csv: the table of captions cannot be read"):
        read_table(tmp_path / "no.csv")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("b/x.wav", "b/x.wav"),
        ("x.wav", "b/x.wav"),
        ("x", "b/x.wav"),
        ("b/x", "b/x.wav"),
        (" x.wav", " x.wav"),
        ("x.wav", " x.wav"),
        ("a.b.c", "a.b.c.wav"),
        ("café.wav", "cafe\u0301.wav"),
    ],
)
def test_ways_to_name_a_file(name, key):
    assert look_up({"other.wav": ["no"], name: ["yes"]}, key) == (name, ["yes"])


def test_the_whole_path_goes_before_the_bare_name():
    table = {"x.wav": ["any"], "b/x.wav": ["this"]}
    assert look_up(table, "b/x.wav")[1] == ["this"]
    assert look_up(table, "c/x.wav")[1] == ["any"]
    assert look_up(table, "c/y.wav") == (None, [])


@pytest.mark.parametrize(
    ("car", "content", "captions"),
    [
        ("x.y.txt", "a  dog\n\nbarking \n", ["a dog", "barking"]),
        ("x.y.wav.txt", "a dog", ["a dog"]),
        ("x.y.json", {"caption": "a dog"}, ["a dog"]),
        ("x.y.json", {"title": "no", "captions": ["a dog", " "], "text": "no"}, ["a dog"]),
        ("x.y.json", {"caption": "", "description": "a dog"}, ["a dog"]),
        ("x.y.json", ["a dog"], ["a dog"]),
        ("x.txt", "another file's", []),
    ],
)
def test_side_cars(tmp_path, car, content, captions):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / car).write_text(text)
    assert read_side_car(tmp_path / "x.y.wav") == captions


@pytest.mark.parametrize(
    ("car", "text", "message"),
    [
        ("x.json", "{", r"x\.json: cannot be used"),
        ("x.json", '{"caption": 3}', "must be text, got 3"),
        ("x.json", '{"title": "a"}', "holds no caption"),
        ("x.txt", "", "holds no caption"),
        ("x.txt", "w" * 2001, "longer than 2000"),
    ],
)
def test_side_cars_of_no_use(tmp_path, car, text, message):
    (tmp_path / car).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_side_car(tmp_path / "x.wav")

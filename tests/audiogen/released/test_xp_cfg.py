"""Configurations in YAML: what OmegaConf makes of them, without OmegaConf."""

import pickle
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from audiogen.model_folder.layout import CheckpointError
from audiogen.released.xp_cfg import XpCfg, dump

FILE = Path("codec.bin")

SCALARS = [
    *("1e-05", "1.0e-05", "-1e-3", "1E5", "1e5", ".5", "+1.5", "3.", "1_000", "1_000.5", "0"),
    *("007", "0x10", "0b11", "1:30", ".inf", "-.inf", "~", "null", "Null", "true", "True", "on"),
    *("off", "yes", "No", "y", "n", "2020-01-01", "'1e-05'", '"on"', "1e", "e5", "1e-05a", "1.2.3"),
    *("16000", "-3", "''", "text with words", "[8, 5, 1e-3]", "{a: 1, b: [on]}"),
]


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_are_those_of_omegaconf(text):
    yaml_text = f"value: {text}\n"
    expected = OmegaConf.to_container(OmegaConf.create(yaml_text))["value"]
    found = XpCfg(yaml_text, source=FILE).get("value")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "value",
    ["1e-05", "on", "1_0", "true", "null", "~", "", "a: b", "${x}", "2020-01-01", 1e-5, "é"],
)
def test_what_is_written_is_read_back_by_both(value):
    text = dump({"value": value, "list": [value]})
    back = XpCfg(text, source=FILE).tree
    assert back == {"value": value, "list": [value]}
    assert OmegaConf.to_container(OmegaConf.create(text)) == back


REFERENCES = """\
rate: 16000
name: encodec
parts: {encodec: {n: 4, ratios: [8, 5], same: "${.n}", up: "${..other.n}"}, other: {n: 5}}
plain: ${rate}
chain: ${plain}
inside: run_${rate}_${name}
nested: ${parts.${name}.n}
twice: ${parts.${second}.n}
second: ${name}
whole: ${parts.encodec}
item: ${parts.encodec.ratios[1]}
dotted: ${parts.encodec.ratios.0}
through: ${whole.n}
space: ${ rate }
escaped: \\${rate}
text: a${parts.other.n}b\\${c}
none: ${empty}
empty: null
both: ${rate}${rate}
"""


@pytest.mark.parametrize("key", [line.partition(":")[0] for line in REFERENCES.splitlines()])
def test_references_are_resolved_as_omegaconf_does(key):
    expected = OmegaConf.create(REFERENCES)
    resolved = OmegaConf.to_container(expected, resolve=True)
    assert XpCfg(REFERENCES, source=FILE).get(key) == resolved[key]


def test_only_what_is_asked_for_is_resolved(xp_cfg):
    cfg = XpCfg(xp_cfg, source=FILE)
    assert cfg.get("seanet")["channels"] == 1
    assert cfg.get("encodec") | {"causal": 0} == {
        "autoencoder": "seanet",
        "quantizer": "rvq",
        "sample_rate": 16000,
        "channels": 1,
        "causal": False,
        "renormalize": False,
    }
    with pytest.raises(CheckpointError, match=r"codec.bin.*takes dora.dir from outside .*oc.env:"):
        cfg.get("dora")
    with pytest.raises(CheckpointError, match=r"leaves datasource\.max_sample_rate open"):
        cfg.get("datasource")


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("a: ${b}\nb: ${a}", "a", "refers to itself: a -> b -> a"),
        ("a: ${a}", "a", "refers to itself: a -> a"),
        ("a: ${b.c}\nb: {c: '${b}'}", "a", "refers to itself: b -> b"),
        ("a: {b: '${a}'}", "a", "refers to itself: a -> a"),
        ("a: ${nowhere.b}", "a", r"refers to \$\{nowhere.b\} at a, and there is no such key"),
        ("a: ${b.c.d}\nb: {c: 1}", "a", r"refers to \$\{b.c.d\} at a"),
        ("a: ${b[7]}\nb: [1]", "a", r"refers to \$\{b\[7\]\} at a"),
        ("a: ${b", "a", "unfinished reference at a"),
        ("a: 1", "b", "lacks b"),
        ("a: 1", "a.b", "lacks a.b"),
        ("a: ???", "a", "leaves a open"),
        ("a: ${oc.env:HOME}", "a", r"outside the file, by \$\{oc.env:HOME\}"),
        ("a: ${...b}", "a", "no such key"),
        ("a: &x [*x]", "a", r"nested without end at a\.0\.0"),
    ],
)
def test_what_cannot_be_resolved_is_named(text, key, message):
    with pytest.raises(CheckpointError, match=message):
        XpCfg(text, source=FILE).get(key)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a: [", "is not plain YAML"),
        ("a: 1\na: 2", "key 'a' is given twice"),
        ("!!python/object/apply:os.system ['true']", "python/object/apply:os.system"),
        ("just text", "is str instead of a mapping"),
        ("", "is NoneType instead of a mapping"),
        (b"a: 1", "is bytes instead of a mapping"),
        (None, "is NoneType"),
        ("[" * 400, "is (nested without end|not plain YAML)"),
        ("a: \x00", "is not plain YAML"),
    ],
)
def test_what_is_no_configuration(value, message):
    with pytest.raises(CheckpointError, match=message):
        XpCfg(value, source=FILE)


def test_laughs_without_end_are_cut_off():
    lines = ["a0: ha"] + [f"a{i}: ${{a{i - 1}}}${{a{i - 1}}}" for i in range(1, 40)]
    with pytest.raises(CheckpointError, match="has no end"):
        XpCfg("\n".join(lines), source=FILE).get("a39")
    lists = ["a0: &a0 [ha]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    with pytest.raises(CheckpointError, match="has no end"):
        XpCfg("\n".join(lists), source=FILE).get("a39")


def test_references_nested_without_end():
    text = yaml.safe_dump({"a": "${" * 2000 + "}" * 2000})
    with pytest.raises(CheckpointError, match="deeper than anyone can follow at a"):
        XpCfg(text, source=FILE).get("a")


@pytest.mark.parametrize("kind", ["mapping", "omegaconf"])
def test_objects_in_place_of_text(xp_cfg, kind):
    """Both are read with nothing resolved: the whole tree holds what is open and outside."""
    value = yaml.safe_load(xp_cfg) if kind == "mapping" else OmegaConf.create(xp_cfg)
    expected = XpCfg(xp_cfg, source=FILE)
    assert XpCfg(value, source=FILE).tree == expected.tree
    copied = pickle.loads(pickle.dumps(value))
    assert XpCfg(copied, source=FILE).get("seanet") == expected.get("seanet")

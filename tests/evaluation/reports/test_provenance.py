import platform

import torch

from evaluation import __version__
from evaluation.protocols.card import load_protocol
from evaluation.reports.provenance import data_warnings, describe_data, describe_tools
from evaluation.sources import Sources


def item(name, reference, generated):
    return {"name": name, "reference_sha256": reference, "generated_sha256": generated}


DATA = {"excluded": [], "extra_generated": []}


def test_the_tools_are_those_that_ran():
    tools = describe_tools(load_protocol("demo"), date="2026-01-02")
    assert tools["instrument"] == __version__
    assert tools["python"] == platform.python_version()
    assert tools["libraries"]["torch"] == torch.__version__.split("+")[0]
    assert {"libsndfile", "julius", "transformers"} <= tools["libraries"].keys()
    assert tools["protocol_sha256"] == load_protocol("demo").sha256()


def test_copies_are_counted_and_different_sounds_are_not():
    different = [item("a", "1", "4"), item("b", "2", "5"), item("c", "3", "6")]
    assert data_warnings(DATA, different) == []
    collapsed = [item("a", "1", "4"), item("b", "2", "4"), item("c", "3", "3")]
    assert data_warnings(DATA, collapsed) == [
        "1 of 3 generated files are byte-identical to their reference",
        "2 of 3 generated files are byte-identical to another one",
    ]


def test_the_hash_of_a_set_sees_names_and_contents(folders):
    sources = Sources(reference=folders[0], generated=folders[1])

    def describe(items):
        return describe_data(sources, items, excluded=[])["reference"]["sha256"]

    base = [item("a", "1", "4"), item("b", "2", "5")]
    assert describe(base) == describe([item("a", "1", "9"), item("b", "2", "9")])
    others = [
        [item("a", "1", "4")],
        [item("a", "1", "4"), item("c", "2", "5")],
        [item("a", "2", "4"), item("b", "1", "5")],
    ]
    assert describe(base) not in [describe(other) for other in others]

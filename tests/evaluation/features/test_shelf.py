import gc
import weakref

import pytest

import evaluation.features.shelf
from evaluation.features.networks import Networks
from evaluation.features.shelf import NetworkShelf, Recipe
from evaluation.protocols.card import load_protocol
from evaluation.settings import Settings


@pytest.fixture
def builds(monkeypatch):
    """Names of the networks that are really built, in order."""
    found, build = [], evaluation.features.shelf.build_network

    def counted(name, **given):
        found.append(name)
        return build(name, **given)

    monkeypatch.setattr(evaluation.features.shelf, "build_network", counted)
    return found


def logmel(hop):
    entry = dict(load_protocol("demo").features["logmel"])
    return Recipe.of(entry | {"hop": hop}, Settings())


def test_what_comes_before_a_network_is_no_part_of_it():
    entry = load_protocol("audiocraft").features["vggish"]
    settings = Settings(weights=None)
    assert Recipe.of(entry, settings) == Recipe.of(entry | {"input": ["mono"]}, settings)
    for change in ({"hop": 1.0}, {"weights": "other.pth"}, {"dtype": "bfloat16"}):
        assert Recipe.of(entry, settings) != Recipe.of(entry | change, settings)
    for other in (Settings(random_weights=True), Settings(device="x")):
        assert Recipe.of(entry, settings) != Recipe.of(entry, other)


def test_a_network_is_built_once_whatever_it_is_called(builds):
    shelf = NetworkShelf()
    first = shelf.take("a", logmel(0.5))
    assert shelf.take("a", logmel(0.5)) is shelf.take("b", logmel(0.5)) is first
    assert builds == ["logmel"]


def test_the_last_of_a_name_stays_and_the_one_before_it_goes():
    shelf = NetworkShelf()
    gone = weakref.ref(shelf.take("a", logmel(0.5)))
    last = shelf.take("a", logmel(1.0))
    gc.collect()
    assert gone() is None
    assert shelf.take("a", logmel(1.0)) is last


def test_a_shelf_over_another_takes_from_it_and_leaves_it_as_it_was(builds):
    start = NetworkShelf()
    first = start.take("a", logmel(0.5))
    above = NetworkShelf(start)
    assert above.take("a", logmel(0.5)) is first
    other = weakref.ref(above.take("a", logmel(1.0)))
    assert above.take("a", logmel(0.5)) is first
    del above
    gc.collect()
    assert other() is None
    assert start.take("a", logmel(0.5)) is first
    assert len(builds) == 2


def test_a_file_that_is_no_network_leaves_nothing_behind(tiny, builds):
    shelf, card = NetworkShelf(), load_protocol("audiocraft")
    (tiny.weights / "vggish-10086976.pth").write_text("something else")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"features vggish: .*not the weights of vggish"):
            Networks(card, ["vggish"], Settings(weights=tiny.weights), shelf=shelf)
    assert shelf.networks == {}
    (tiny.weights / "vggish-10086976.pth").write_text("vggish")
    Networks(card, ["vggish"], Settings(weights=tiny.weights), shelf=shelf)
    assert builds == ["vggish"] * 3

import re
import xml.etree.ElementTree as ET

from recipes.demo.page.curves import (
    GRID,
    INK,
    POINTS,
    SERIES,
    Line,
    codec_section,
    draw,
    lm_section,
)


def test_takes_its_colors_from_the_page():
    lines = [Line(name=f"l{k}", x=[1, 2], y=[k, 2], color=k) for k in range(3)]
    svg = draw("title", lines, unit="nats")
    assert svg.startswith("<svg ")
    assert not any(color in svg for color in (INK, GRID, *SERIES))
    assert all(f"var(--series-{k})" in svg for k in range(3))
    assert "currentColor" in svg


def test_names_nothing_outside_the_page():
    svg = draw("title", [Line(name="a", x=[1, 2], y=[1, 2])])
    assert "http" not in svg
    assert "<?xml" not in svg
    assert "<metadata" not in svg


def test_ids_of_two_charts_differ():
    line = Line(name="a", x=[1, 2], y=[1, 2])
    ids = [set(re.findall(r'\bid="([^"]*)"', draw(title, [line]))) for title in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]
    svg = draw("one", [line])
    targets = set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg))
    assert targets
    assert {a or b for a, b in targets} <= ids[0]


def test_escapes_names_and_leaves_dollars_alone():
    name = "<script>$x_1$</script>"
    svg = draw(name, [Line(name=name, x=[1], y=[1]), Line(name="b", x=[1], y=[2])])
    assert "<script" not in svg
    tree = ET.fromstring(svg.replace("xlink:href", "href"))
    assert name in [text.text for text in tree.iter() if text.tag.endswith("text")]
    assert tree.get("aria-label") == name


def test_long_histories_are_thinned_and_keep_their_ends():
    x = list(range(10_000))
    svg = draw("long", [Line(name="a", x=x, y=[v % 7 for v in x])])
    assert len(svg) < 40_000
    from recipes.demo.page.curves import _thin

    thin = _thin(x)
    assert (thin[0], thin[-1]) == (0, 9999)
    assert len(thin) <= POINTS + 1
    assert _thin([1.0, 2.0, 3.0]) == [1.0, 2.0, 3.0]


def test_sections(synthetic_run):
    codec = codec_section(synthetic_run)
    titles = [chart.title for chart in codec["charts"]]
    assert titles == ["loss", "mel", "commitment", "rms ratio", "codebook perplexity"]
    assert (codec["updates"], codec["finished"], codec["adversarial"]) == (20, True, False)
    lm = lm_section(synthetic_run)
    notes = {chart.title: chart.note for chart in lm["charts"]}
    words = "Last: true captions 3, captions of other clips 3.15, no captions 3.05"
    assert notes["validation, by caption"] == words
    assert {"loss", "training, each codebook", "validation, each codebook"} <= notes.keys()

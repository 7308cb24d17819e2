import re
import xml.etree.ElementTree as ET

from recipes.page.curves import GRID, INK, POINTS, SERIES, Line, codec_curves, draw
from recipes.page.inputs import History


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
    from recipes.page.curves import _thin

    thin = _thin(x)
    assert (thin[0], thin[-1]) == (0, 9999)
    assert len(thin) <= POINTS + 1
    assert _thin([1.0, 2.0, 3.0]) == [1.0, 2.0, 3.0]


def test_codec_curves_name_what_was_logged():
    rows = [
        {"step": 10.0, "train/loss": 2.0, "codebooks/drift_0": 0.3, "codebooks/drift_1": 0.2},
        {"step": 20.0, "val/loss": 1.5, "val/si_sdr": 3.25, "val/mel_distance": 0.75},
        {"step": 20.0, "codebooks/perplexity_0": 7.0, "codebooks/restarts_0": 12.0},
    ]
    charts = codec_curves(History(run="r", finished=True, others=0, rows=rows))
    assert {chart.title: chart.note for chart in charts} == {
        "loss": "Last: training 2, validation 1.5",
        "SI-SDR": "Last: validation 3.25",
        "mel distance": "Last: validation 0.75",
        "codebook perplexity": "Last: codebook 1 7",
        "restarted entries, in sum": "Last: codebook 1 12",
        "drift of the entries": "Last: codebook 1 0.3, codebook 2 0.2",
    }

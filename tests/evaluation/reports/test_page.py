import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

pytest.importorskip("jinja2")

from evaluation.audio import file_sha256
from evaluation.reports.page_sounds import BUDGET
from tests.evaluation.reports.test_report import make_report, make_score

NASTY = "<script>alert('x')</script>\"&"


class Page(HTMLParser):
    """What a browser would take a page for."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def render(tmp_path, report, **options):
    report.to_html(tmp_path / "report.html", **options)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def with_sounds(tmp_path, count, **changes):
    items = []
    rng = np.random.default_rng(0)
    for side in ("r", "g"):
        (tmp_path / side).mkdir()
    for i in range(count):
        name = f"clip {i:03d} & <b>"
        hashes = {}
        for side, field in (("r", "reference_sha256"), ("g", "generated_sha256")):
            path = tmp_path / side / f"{name}.wav"
            soundfile.write(path, 0.1 * rng.normal(size=4000), 16000)
            hashes[field] = file_sha256(path)
        values = {"level_difference_db": float(i), "kld_passt": float(count - i)}
        items.append({"name": name, "captions": [f"rain {i}"], "values": values} | hashes)
    data = make_report().data | {
        "reference": {"folder": str(tmp_path / "r"), "sha256": "ab" * 32},
        "generated": {"folder": str(tmp_path / "g"), "sha256": "cd" * 32},
    }
    scores = {
        "level_difference_db": make_score(),
        "kld_passt": make_score(name="kld_passt", label="KLD", best="low", value=1.0),
    }
    return make_report(items=items, data=data, scores=scores, **changes)


def test_one_file_nothing_fetched_everything_escaped(tmp_path):
    report = make_report(
        warnings=[NASTY],
        flags=[NASTY],
        classes={NASTY: {"level_difference_db": make_score()}},
        breakdown={NASTY: {NASTY: {"level_difference_db": make_score()}}},
        sanity={NASTY: {"level_difference_db": 1.0}},
        features={NASTY: {NASTY: NASTY}},
        not_computed={NASTY: NASTY},
        protocol=make_report().protocol | {"description": NASTY, "source": NASTY},
        items=[
            {
                "name": NASTY,
                "captions": [NASTY],
                "class": NASTY,
                "values": {"level_difference_db": 1.0},
            }
        ],
    )
    text = render(tmp_path, report)
    page = Page(text)
    assert len(page.all("script")) == 1  # ours
    assert "alert('x')" not in text
    for _, attrs in page.tags:
        assert not attrs.keys() & {"href", "srcset", "action", "onclick", "onerror", "style_src"}
        assert attrs.get("src", "data:").startswith("data:")
    assert not re.search(r"https?:|@import|url\((?!#)", text)
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert "".join(page.words).count("alert('x')") > 8


def test_scores_have_what_they_are_held_to_beside_them(tmp_path):
    details = {"bias": {"estimate": 0.321, "method": "x"}, "reference_halves": 0.654}
    details |= {"reference_self": 0.987, "stand_in": True}
    report = make_report(scores={"level_difference_db": make_score(details=details)})
    words = "".join(Page(render(tmp_path, report)).words)
    for text in ("-6.021 dB", "[-6.5, -5.5]", "95% interval", "0.321", "0.654", "0.987"):
        assert text in words
    assert "stand-in (random weights): Level" in words
    assert "Stand-in networks" in words


def test_card_provenance_flags_and_sanity_are_there(tmp_path):
    report = make_report(
        sanity={"silence": {"level_difference_db": -12.5}},
        flags=["it likes silence"],
        features={"vggish": {"weights_sha256": "beef"}},
    )
    words = "".join(Page(render(tmp_path, report)).words)
    for text in ("resamples: 50", "provenance.instrument", "cd" * 32, "it likes silence", "-12.5"):
        assert text in words
    assert "features.vggish.weights_sha256" in words
    assert "Sanity battery" in words


def test_worst_and_best_clips_are_played_beside_their_references(tmp_path):
    page = Page(render(tmp_path, with_sounds(tmp_path, 20), sounds=2))
    players = page.all("audio")
    # both metrics rank the same way round here, so the ends of one are those of the other
    assert len(page.all("article")) == 4
    assert len(players) == 8
    assert all(player["src"].startswith("data:audio/ogg;base64,") for player in players)
    assert all(player.get("preload") == "none" for player in players)
    assert len(page.all("option")) == 2
    order = "".join(page.words)
    assert order.index("clip 019") < order.index("clip 018") < order.index("clip 000")
    assert Page(render(tmp_path, make_report(), sounds=0)).all("audio") == []


def test_first_what_one_came_for_then_the_notes_then_the_clips(tmp_path):
    report = with_sounds(
        tmp_path,
        20,
        classes={"dog": {"level_difference_db": make_score()}},
        sanity={"silence": {"level_difference_db": -12.5}},
        breakdown={"order": {"at once": {"level_difference_db": make_score()}}},
    )
    per_pair = {"statistic": "mean"}
    report.scores["fad_vggish"] = make_score(name="fad_vggish", label="FAD", best="low")
    report.scores["kld_passt"] = make_score(
        name="kld_passt", label="KLD", best="low", details=per_pair
    )
    for item in report.items:
        item["values"] = {"fad_vggish": 1.0, **item["values"]}
    text = render(tmp_path, report)
    heads = ["<h2>Per class", "<summary>Notes (", "<h2>Worst and best", "<h2>Spread", "<h2>Sanity"]
    places = [text.index(head) for head in [*heads, "<h2>By what", "<h2>Every clip"]]
    assert places == sorted(places)
    assert '<details class="notes"><summary>Notes' in text
    assert text.index("<b>Warning.</b>") < text.index('<details class="notes">')  # never folded
    options = re.findall(r"<option[^>]*>([^<]*)<", text)
    assert [option.split(",")[0].split(":")[0] for option in options] == [
        "KLD", "Level", "FAD",
    ]  # fmt: skip
    assert 'Worst by <span class="by">KLD' in text
    assert "Incomplete.</b> 1 of 4 metrics not computed: fad_vggish" in text


def test_clips_without_their_sounds_say_so(tmp_path):
    text = render(tmp_path, make_report())
    assert "no player" in text
    assert "12 of the clips to play have no player" in text


def test_every_clip_is_in_the_table_and_the_page_stays_under_20_mb(tmp_path):
    items = [
        {"name": f"clip{i:04d}", "captions": ["rain " * 40], "values": {"level_difference_db": i}}
        for i in range(957)
    ]
    text = render(tmp_path, make_report(items=items))
    assert all(f"<code>clip{i:04d}</code>" in text for i in range(957))
    assert len(text) + BUDGET < 20_000_000


@pytest.mark.parametrize(("captions", "shown"), [(["rain"], True), ([], False)])
def test_a_column_of_captions_if_there_are_any(tmp_path, captions, shown):
    items = [{"name": "a", "captions": captions, "values": {"level_difference_db": 1.0}}]
    text = render(tmp_path, make_report(items=items))
    assert "Worst by" in text
    assert ("<button>Captions" in text) is shown


def test_nothing_of_pairs_without_their_values(tmp_path):
    items = [{"name": "a", "captions": [], "values": {}}]
    text = render(tmp_path, make_report(items=items, scores={}))
    assert "Worst" not in text
    assert "<script>" not in text


def test_without_matplotlib_the_page_has_its_tables(tmp_path, monkeypatch):
    assert "<svg" in render(tmp_path, make_report())
    monkeypatch.setattr("evaluation.reports.page.can_draw", lambda: False)
    text = render(tmp_path, make_report())
    assert "<svg" not in text
    assert "-6.021 dB" in text


def test_what_an_interval_leaves_out_is_not_folded_away(tmp_path):
    few = {"bias": {"estimate": None, "reason": "fewer than 100 clips"}}
    fad = make_score(name="fad_vggish", label="FAD (VGGish)", best="low", details=few)
    report = make_report(
        scores={"fad_vggish": fad}, classes={"dog": {"fad_vggish": make_score(n=3, interval=None)}}
    )
    text = render(tmp_path, report)
    seen, _, folded = text.partition('<details class="notes">')
    for words in ("95% interval: nominal", "the interval leaves out what N adds"):
        assert words in seen
        assert words not in folded
    assert "<h2>Per class, worst first by FAD (VGGish)</h2>" in text
    assert "classes without brackets: fewer than 8 clips" in folded

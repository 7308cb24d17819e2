import re

from recipes.page.render import attempt, clock, fill, gigabytes, share

PAGE = """{% extends "layout.html.j2" %}
{% block main %}<p>{{ text }}</p>{% endblock %}"""


def test_a_page_is_whole_and_escaped(tmp_path):
    (tmp_path / "page.html.j2").write_text(PAGE, encoding="utf-8")
    page = fill(tmp_path / "page.html.j2", title="<b>", text="<script>x</script>")
    assert page.startswith("<!doctype html>")
    assert "<title>&lt;b&gt;</title>" in page
    assert "<p>&lt;script&gt;x&lt;/script&gt;</p>" in page
    assert page.count("<script>") == 1
    assert re.search(r"script-src 'sha256-[\w+/=]{44}'", page)


def test_one_damaged_file_costs_one_section():
    def damaged(source):
        return {"value": source["absent"]}

    assert attempt(dict, {"a": 1}) == {"missing": None, "a": 1}
    assert "KeyError('absent')" in attempt(damaged, {})["missing"]


def test_numbers_in_words():
    assert [share(0.125), share(None), share(float("nan")), share(0.5, 0)] == [
        "0.12", "\N{EN DASH}", "\N{EN DASH}", "0",
    ]  # fmt: skip
    assert [clock(5.4), clock(119.6), clock(None)] == ["5 s", "2 min 00 s", "\N{EN DASH}"]
    assert [gigabytes(1.5e9), gigabytes(None)] == ["1.50 GB", "\N{EN DASH}"]

import re
from pathlib import Path

from recipes.demo.page.timing import STAGES, timing_section

ROOT = Path(__file__).parents[4]


def test_stages_are_those_of_the_demo():
    script = (ROOT / "recipes" / "demo" / "run.sh").read_text(encoding="utf-8")
    names = re.findall(r'^ *stage (\w+) "', script, re.MULTILINE)
    assert list(dict.fromkeys(names)) == list(STAGES)


def test_section(synthetic_run):
    section = timing_section(synthetic_run)
    assert [time.title for time in section["times"]] == list(STAGES.values())
    assert (section["seconds"], section["undone"]) == (90.0, [])

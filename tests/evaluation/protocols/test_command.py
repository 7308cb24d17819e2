import argparse

import pytest

from evaluation.protocols import command
from evaluation.protocols.card import ProtocolError, load_protocol, protocol_names


def run(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def test_lists_every_card():
    listed = [line.split()[0] for line in run()[0].splitlines()]
    assert listed == protocol_names()


@pytest.mark.parametrize("name", protocol_names())
def test_what_is_printed_is_the_card_again(name, tmp_path):
    path = tmp_path / "mine.yaml"
    text, said = run(name)
    path.write_text(text, encoding="utf-8")
    assert load_protocol(path) == load_protocol(name)
    assert load_protocol(path).sha256()[:16] in said
    assert text.startswith("#")  # with its reasons


def test_what_sets_two_cards_apart(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(run("audiocraft")[0].replace("target: -14.0", "target: -23.0"))
    with pytest.raises(ProtocolError, match=r"in generated\. Give it a name of its own"):
        run("audiocraft", str(path))
    path.write_text(path.read_text().replace("name: audiocraft\n", "name: mine\n"))
    text, said = run("audiocraft", str(path))
    before = "mono mean, resample 16000 julius, loudness -14.0 0.002, clip"
    after = before.replace("-14.0", "-23.0")
    assert text.splitlines() == [f"all: generated: {before} -> {after}"]
    assert "fad_vggish, kld_passt, clap_score" in said
    assert run("audiocraft", "audiocraft")[0] == ""


def test_metrics_of_one_card_alone_are_named():
    lines = run("demo", "codec")[0].splitlines()
    assert "only codec has si_sdr" in lines


def test_unknown_and_broken_cards_are_refused(tmp_path):
    with pytest.raises(ProtocolError, match="Did you mean audiocraft"):
        run("audiocraf")
    path = tmp_path / "mine.yaml"
    path.write_text(run("audiocraft")[0].replace("length: cut", "length: halve"))
    with pytest.raises(ProtocolError, match=r"mine\.yaml.*length"):
        run(str(path))

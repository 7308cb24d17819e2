import pytest

from evaluation.catalog import METRICS, NETWORKS, check_metrics
from evaluation.protocols.card import load_protocol, protocol_names
from evaluation.weights.files import FILES, missing_reason, weight_file, weights_path


@pytest.mark.parametrize("name", protocol_names())
def test_every_file_a_card_names_is_known(name):
    named = {each["weights"] for each in load_protocol(name).features.values()} - {None}
    assert named <= FILES.keys()


def test_entries_are_whole():
    for entry in FILES.values():
        assert entry.network in NETWORKS
        assert entry.what
        assert set(entry.needs) <= FILES.keys()
        if entry.url is not None:
            assert entry.url.startswith("https://")
            name = entry.url.replace("%3D", "=").rpartition("/")[2]
            if entry.packed:  # by version, and compressed
                assert name.endswith(".gz")
                assert name.replace("-v0_4_0", "").removesuffix(".gz") == entry.file
            else:
                assert name == entry.file.rpartition("/")[2]
        if entry.sha256_prefix is not None:  # torch.hub's convention: the digits are in the name
            assert f"-{entry.sha256_prefix}." in entry.file


def test_missing_weights_say_how_to_get_them(tmp_path):
    reason = missing_reason("vggish-10086976.pth", tmp_path)
    fetch = f"python -m evaluation fetch vggish-10086976.pth --folder {tmp_path}, or put"
    assert fetch in reason
    assert FILES["vggish-10086976.pth"].url in reason
    assert str(tmp_path / "vggish-10086976.pth") in reason
    assert reason.endswith("or name another folder with --weights")
    other = missing_reason("vggish-10086976.pth", tmp_path, option="scores.weights=")
    assert other == reason.replace("--weights", "scores.weights=")


def test_own_files_are_put_there(tmp_path):
    assert f"put mine.pt into {tmp_path}" in missing_reason("mine.pt", tmp_path)


def test_a_packed_file_is_put_there_unpacked(tmp_path):
    file = "openl3_audio_mel256_env.h5"
    expected = f"put {file} from {FILES[file].url}, unpacked, there"
    assert expected in missing_reason(file, tmp_path)


def test_weights_in_place_are_not_called_missing(tmp_path):
    weights_path("vggish-10086976.pth", tmp_path).touch()
    assert missing_reason("vggish-10086976.pth", tmp_path) is None
    weights_path("clap-folder", tmp_path).mkdir()
    assert missing_reason("clap-folder", tmp_path) is None


def test_unknown_files_get_the_nearest_name():
    with pytest.raises(ValueError, match=r"called 'vggish.pth'\. Did you mean vggish"):
        weight_file("vggish.pth")


def test_unknown_metrics_get_the_nearest_name():
    assert check_metrics(["kld_passt", "fad_vggish", "kld_passt"]) == ["kld_passt", "fad_vggish"]
    with pytest.raises(ValueError, match=r"unknown metric 'kld'\. Did you mean kld_passt"):
        check_metrics(["kld"])
    assert "fad_vggish" in METRICS

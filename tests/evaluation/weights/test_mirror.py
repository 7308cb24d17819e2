import pytest

from evaluation.weights.fetch import FetchError, Source, fetch, mirror_url
from evaluation.weights.files import WeightFile


def test_a_mirror_has_the_names_of_the_registry():
    odd = WeightFile(file="Cnn14_mAP=0.431.pth", network="panns", what="x", url=None)
    assert mirror_url(odd, "https://a.b/c/") == "https://a.b/c/Cnn14_mAP%3D0.431.pth"
    with pytest.raises(ValueError, match="begins with http, got 'file:///etc'"):
        mirror_url(odd, "file:///etc")


def test_no_server_is_said(tmp_path):
    with pytest.raises(FetchError, match=r"net.pt from http://127.0.0.1:9/.*refused"):
        fetch(
            WeightFile(file="net.pt", network="panns", what="x", url=None),
            tmp_path,
            Source(url="http://127.0.0.1:9/net.pt", wait=0.0),
        )

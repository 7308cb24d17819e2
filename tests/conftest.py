"""What holds for every test: no network, no display, one thread."""

import os
import socket
from typing import Any

import pytest

# Before any test imports torch or transformers, which read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["WANDB_MODE"] = "offline"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: threads only wait for each other


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test talk to this machine only: `make test` has to pass where there is no network."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        local = not isinstance(address, tuple) or address[0] in {"localhost", "127.0.0.1", "::1"}
        if not local:
            raise OSError(f"tests run without network, and this one asked for {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)

"""TLS between machines: Ray's own, passed through, and what does not fit told at once."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from cluster.connect import probe
from cluster.encryption import VARIABLES, check_encryption
from cluster.node import own_address

ROOT = Path(__file__).resolve().parents[2]
NODE = [sys.executable, "-P", "-m", "cluster.node"]
CHECK = [sys.executable, "-P", "-m", "search", "cluster", "check"]


@pytest.fixture(scope="module")
def own_ip() -> str:
    """Ray's own choice: never loopback where there is a network."""
    with suppress(OSError):
        return own_address("8.8.8.8").rpartition(":")[0]
    return "127.0.0.1"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory, own_ip: str) -> dict[str, str]:
    """The environment of a machine whose certificate holds for this one."""
    return certificates(tmp_path_factory.mktemp("tls"), own_ip, "127.0.0.1")


def certificates(folder: Path, *names: str) -> dict[str, str]:
    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    contents = (issued.cert_chain_pems[0], issued.private_key_pem, authority.cert_pem)
    for name, content in zip(VARIABLES, contents, strict=True):
        content.write_to_path(folder / name)
    return {"RAY_USE_TLS": "1"} | {name: str(folder / name) for name in VARIABLES}


@pytest.fixture
def server(tls: dict[str, str]) -> Iterator[int]:
    """The port of a server with TLS that, as Ray, wants to see certificates itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls[VARIABLES[0]], tls[VARIABLES[1]])
    context.load_verify_locations(tls[VARIABLES[2]])
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listening.accept()
                except OSError:
                    return
                with suppress(OSError), context.wrap_socket(accepted, server_side=True) as wrapped:
                    wrapped.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


def use(monkeypatch: pytest.MonkeyPatch, tls: dict[str, str]) -> None:
    for name, value in tls.items():
        monkeypatch.setenv(name, value)


def test_both_sides_have_it(
    server: int, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, tls)
    check_encryption("127.0.0.1", server)


def test_only_one_side_has_it(
    server: int, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    with pytest.raises(ConnectionError, match="has TLS: set RAY_USE_TLS=1 and RAY_TLS_SERVER"):
        probe(f"127.0.0.1:{server}")
    use(monkeypatch, tls)
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    with plain.accept()[0] as accepted:
                        accepted.sendall(b"I know no TLS")

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{plain.getsockname()[1]}"
        with pytest.raises(ConnectionError, match="has no TLS, and RAY_USE_TLS is set here"):
            probe(address)


def test_a_strangers_certificate(
    server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, certificates(tmp_path, "127.0.0.1"))
    with pytest.raises(ConnectionError, match="and be of the authority in RAY_TLS_CA_CERT"):
        check_encryption("127.0.0.1", server)


def test_a_file_that_is_missing(
    server: int, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, tls | {VARIABLES[1]: "/absent"})
    with pytest.raises(ValueError, match="RAY_USE_TLS needs the files of RAY_TLS_SERVER_CERT"):
        check_encryption("127.0.0.1", server)


@pytest.mark.slow
def test_a_cluster_with_tls(tls: dict[str, str], own_ip: str, tmp_path: Path) -> None:
    address = own_address(own_ip)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    small = {"RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": "80000000"}
    own = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN": "0f" * 32}
    plain = kept | small | own | {"RAY_AUTH_MODE": "token"}
    head = subprocess.Popen(
        [*NODE, "head", "--address", address, "--cpus", "1", "--gpus", "0"],
        env=plain | tls,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    check = [*CHECK, "--address", address, "--out", str(tmp_path / "results")]
    try:
        done = subprocess.run(
            [*check, "--wait-seconds", "90"],
            env=plain | tls,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        began = time.monotonic()
        refused = subprocess.run(
            check, env=plain, capture_output=True, text=True, timeout=60, check=False
        )
        seconds = time.monotonic() - began
    finally:
        head.send_signal(signal.SIGTERM)
        head.wait(60)
    assert "All is right." in done.stdout, done.stdout + done.stderr
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        f"seqtune: the cluster at {address} has TLS: set RAY_USE_TLS=1"
    )
    assert seconds < 30

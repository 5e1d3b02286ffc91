import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trainers.benchmarks.digits import DigitsRows
from trainers.benchmarks.download import RemoteFile, cache_folder, fetch_all
from trainers.data.dataset import Dataset

CONTENT = bytes(range(256)) * 4_000  # larger than one chunk
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT whole, cut short, altered or too long, and counts what was asked for."""

    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        kind = self.path.split("/")[1]
        if kind == "missing":
            self.send_error(404)
            return
        body = {
            "whole": CONTENT,
            "cut": CONTENT[:-1000],
            "short": CONTENT[:-1000],
            "altered": b"\xff" + CONTENT[1:],
            "long": CONTENT + b"more",
        }[kind]
        self.send_response(200)
        # "cut": the connection ends early; "short": a complete answer that is too short
        self.send_header("Content-Length", str(len(CONTENT if kind == "cut" else body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Handler.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


def remote(server: str, kind: str, name: str = "data.bin") -> RemoteFile:
    return RemoteFile(f"folder/{name}", f"{server}/{kind}/{name}", len(CONTENT), SHA256)


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_once_and_then_used_as_it_is(server: str, tmp_path: Path) -> None:
    file = remote(server, "whole")
    assert not file.is_present(tmp_path)
    assert file.fetch(tmp_path) == tmp_path / "folder" / "data.bin"
    assert (tmp_path / "folder" / "data.bin").read_bytes() == CONTENT
    assert file.is_present(tmp_path)
    file.fetch(tmp_path)
    assert Handler.requests == ["/whole/data.bin"]
    assert files_below(tmp_path) == ["data.bin"]


def test_a_mirror_without_network_is_enough(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "data.bin").write_bytes(CONTENT)
    assert remote("http://host.invalid", "whole").fetch(tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut", ["1,023,000 bytes instead of 1,024,000"]),
        ("short", ["1,023,000 bytes instead of 1,024,000"]),
        ("long", ["more than 1,024,000 bytes instead of 1,024,000"]),
        ("altered", [SHA256, hashlib.sha256(b"\xff" + CONTENT[1:]).hexdigest()]),
        ("missing", ["404", "Not Found", "SEQTUNE_DATA"]),
    ],
)
def test_a_bad_download_is_refused_and_leaves_nothing(
    server: str, tmp_path: Path, kind: str, words: list[str]
) -> None:
    with pytest.raises(OSError, match=f"{server}/{kind}/data.bin") as caught:
        remote(server, kind).fetch(tmp_path)
    assert [word for word in words if word not in str(caught.value)] == []
    assert files_below(tmp_path) == []


def test_no_network_is_one_sentence_that_names_the_way_out(server: str, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        port = http.server_address[1]  # closed again at the end of the block
    file = remote(f"http://127.0.0.1:{port}", "whole")
    with pytest.raises(
        OSError, match=r"cannot fetch http://.*/whole/data\.bin: .*SEQTUNE_DATA"
    ) as caught:
        file.fetch(tmp_path)
    assert "\n" not in str(caught.value)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("found", [CONTENT[:-1], b"\xff" + CONTENT[1:]])
def test_a_wrong_file_in_the_cache_is_neither_used_nor_touched(
    server: str, tmp_path: Path, found: bytes
) -> None:
    file = remote(server, "whole")
    target = tmp_path / "folder" / "data.bin"
    target.parent.mkdir()
    target.write_bytes(found)
    with pytest.raises(OSError, match="is not the file expected") as caught:
        file.fetch(tmp_path)
    assert str(target) in str(caught.value)
    assert "delete or move it" in str(caught.value)
    assert target.read_bytes() == found
    assert Handler.requests == []


def test_an_interrupted_download_leaves_nothing(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Path, target: Path) -> None:
        assert self.read_bytes() == CONTENT
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        remote(server, "whole").fetch(tmp_path)
    assert files_below(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_told(server: str, tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"cannot store .*data\.bin: .*SEQTUNE_DATA"):
        remote(server, "whole").fetch(tmp_path)


def test_all_files_are_fetched_in_parallel_with_progress(server: str, tmp_path: Path) -> None:
    files = [remote(server, "whole", f"{number}.bin") for number in range(12)]
    files[3].fetch(tmp_path)
    heard: list[tuple[int, int]] = []
    paths = fetch_all(files, tmp_path, lambda done, total: heard.append((done, total)))
    assert [path.read_bytes() == CONTENT for path in paths] == [True] * 12
    assert heard == [(len(CONTENT) * (n + 1), len(CONTENT) * 11) for n in range(11)]
    assert len(Handler.requests) == 12


def test_one_bad_file_of_many_ends_the_fetch(server: str, tmp_path: Path) -> None:
    files = [remote(server, "missing" if n == 0 else "whole", f"{n}.bin") for n in range(60)]
    with pytest.raises(OSError, match=r"missing/0\.bin"):
        fetch_all(files, tmp_path)
    assert len(Handler.requests) < 60
    assert ".part" not in "".join(files_below(tmp_path))


def test_a_benchmark_fetches_what_it_misses_and_then_prepares(server: str, tmp_path: Path) -> None:
    class Toy(DigitsRows):
        files = (remote(server, "whole"),)

        def prepare(self, folder: Path) -> Dataset:
            assert (folder / "folder" / "data.bin").read_bytes() == CONTENT
            return super().prepare(folder)

    assert not Toy.is_present(tmp_path)
    heard: list[tuple[int, int]] = []
    assert len(Toy().load(tmp_path, lambda done, total: heard.append((done, total))).train) == 1076
    assert Toy.is_present(tmp_path)
    Toy().load(tmp_path)
    assert heard == [(len(CONTENT), len(CONTENT))]
    assert Handler.requests == ["/whole/data.bin"]


def test_the_cache_folder_is_chosen_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQTUNE_DATA", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("SEQTUNE_DATA", "~/data")
    assert cache_folder() == Path.home() / "data"
    monkeypatch.delenv("SEQTUNE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().parts[-2:] == ("seqtune", "benchmarks")

"""The report that is served: made anew as the log grows, for this machine alone."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest

from search.cli import main
from search.report.serving import HOST, ReportServer
from search.store.store import Store

Finished = Callable[..., Path]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(finished_study: Finished) -> Path:
    return finished_study({"gru": [0.4], "tcn": [0.5]})


@pytest.fixture
def server(folder: Path) -> Iterator[ReportServer]:
    with ReportServer(folder, 0) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server: ReportServer, place: str = "") -> str:
    with urllib.request.urlopen(server.url + place, timeout=30) as answer:  # noqa: S310 - of ours
        assert answer.headers["Cache-Control"] == "no-store"
        return str(answer.read().decode("utf-8"))


def trial(number: int, kind: str, **more: object) -> dict[str, object]:
    return {"event": kind, "trial": number, "attempt": 1, "epoch": 0, **more}


def test_the_page_follows_the_log(server: ReportServer, folder: Path) -> None:
    before = fetch(server, "version")
    page = fetch(server)
    assert f'data-version="{before}"' in page
    assert "connect-src 'self'" in page
    assert "4 trials" not in page
    assert fetch(server, "version") == before
    with Store.open(folder) as store:
        proposed = {"family": "gru", "config": {"model": {"name": "gru"}}, "seed": 0}
        for number in (90, 91):
            store.append(trial(number, "proposed", **proposed, finalist_of=None))
        grown = fetch(server, "version")
        assert grown != before
        page = fetch(server)
        assert f'data-version="{grown}"' in page
        assert "4 trials" in page
        assert "still running" in page
    assert fetch(server, "version") != grown  # its process is gone
    assert "still running" not in fetch(server)


def test_what_is_not_the_report_is_not_served(server: ReportServer, folder: Path) -> None:
    def status(place: str, host: str) -> int:
        connection = HTTPConnection(HOST, server.server_port, timeout=30)
        connection.request("GET", place, headers={"Host": host})
        answer = connection.getresponse()
        assert len(answer.read()) > 10
        connection.close()
        return answer.status

    here = f"localhost:{server.server_port}"
    assert status("/?from=bookmark", here) == 200
    assert status("/events.jsonl", here) == status("/../study.toml", here) == 404
    assert status("/", "evil.example") == 403  # a name that leads to this machine
    (folder / "events.jsonl").rename(folder / "gone")
    assert status("/", here) == status("/version", here) == 500


def test_wrong_requests_are_one_sentence(
    server: ReportServer, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def why(*words: object) -> str:
        with pytest.raises(SystemExit) as left:
            main(["report", *map(str, words)])
        assert left.value.code == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    assert f"port {server.server_port} is taken" in why(
        folder, "--serve", "--port", server.server_port
    )
    assert "--serve only" in why(folder, "--port", 8050)
    assert "--output" in why(folder, "--serve", "-o", tmp_path / "report.html")
    assert "no study" in why(tmp_path / "nothing", "--serve")


def test_ctrl_c_ends_it_quietly(folder: Path) -> None:
    program = (  # whoever runs the tests in the background has told them to ignore SIGINT
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from search.cli import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program, "report", str(folder), "--serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told.startswith("the report is at http://127.0.0.1:")
        url = told.split()[4]
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - of ours
            assert b"Verdict" in answer.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")

"""The report of a running study in a browser on this machine, made anew as the log grows."""

import errno
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Final

from search.report.report import report_html
from search.store.copies import refresh
from search.store.lock import LOCK, living_writer
from search.store.log import LOG, check_header
from search.terminal.failures import message

PORT: Final = 8050
HOST: Final = "127.0.0.1"


class ReportServer(ThreadingHTTPServer):
    """Serves the report of one study to browsers on this machine, and to nobody else.

    Args:
        port: 0 for one that is free.

    Raises:
        FileNotFoundError: There is no study.
        OSError: The port is taken.
        ValueError: The study's log has a format that this version does not read.
    """

    daemon_threads = True

    def __init__(self, directory: Path, port: int = PORT) -> None:
        check_header(directory)
        self._directory = directory
        self._lock = Lock()
        self._made: tuple[str, str] = ("", "")
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise OSError(f"port {port} is taken: give another one with --port") from None

    def handle_error(self, request: object, client_address: object) -> None:
        """See `BaseServer`; a browser that has left is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # of any kind

    @property
    def url(self) -> str:
        """Where the report is."""
        return f"http://{HOST}:{self.server_port}/"

    def version(self) -> str:
        """Another one whenever there is more to report, or the study's process has ended."""
        refresh(self._directory)
        is_running = living_writer(self._directory / LOCK) is not None
        return f"{(self._directory / LOG).stat().st_size}-{'open' if is_running else 'closed'}"

    def page(self) -> str:
        """The report as it is now."""
        with self._lock:  # several pages at once ask for the same
            version = self.version()
            if self._made[0] != version:
                self._made = (version, report_html(self._directory, version_shown=version))
            return self._made[1]


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer

    def do_GET(self) -> None:
        known = {
            "/": (self.server.page, "text/html"),
            "/version": (self.server.version, "text/plain"),
        }
        place = self.path.partition("?")[0]
        if self.headers["Host"] not in _names(self.server.server_port):
            # a page from elsewhere whose name leads here must not read the report
            self._answer(HTTPStatus.FORBIDDEN, f"ask for {self.server.url}", "text/plain")
        elif place not in known:
            self._answer(HTTPStatus.NOT_FOUND, "there is only the report, at /", "text/plain")
        else:
            make, kind = known[place]
            self._make(make, kind)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base calls it
        """Requests are not told."""

    def _make(self, make: Callable[[], str], kind: str) -> None:
        try:
            text = make()
        except (OSError, ValueError) as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, message(error), "text/plain")
        else:
            self._answer(HTTPStatus.OK, text, kind)

    def _answer(self, status: HTTPStatus, text: str, kind: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)


def _names(port: int) -> set[str]:
    return {f"{HOST}:{port}", f"localhost:{port}"}


def serve_report(directory: Path, port: int, say: Callable[[str], object]) -> None:
    """Serve the report until Ctrl-C.

    Raises:
        FileNotFoundError: There is no study.
        KeyboardInterrupt: Ctrl-C.
        OSError: The port is taken.
        ValueError: The study's log has a format that this version does not read.
    """
    with ReportServer(directory, port) as server:
        say(f"the report is at {server.url} until Ctrl-C")
        server.serve_forever()

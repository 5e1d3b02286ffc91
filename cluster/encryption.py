"""TLS between the machines of a cluster is Ray's own; here it is looked at before Ray is asked.

Ray takes it from the environment, `RAY_USE_TLS` and three files, which every process that we start
inherits. Where the two sides do not agree, Ray tries for minutes, and says nothing of certificates.
"""

import os
import socket
import ssl

VARIABLES = ("RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY", "RAY_TLS_CA_CERT")
PATIENCE_SECONDS = 5.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")  # Ray goes to the machine's own address instead


def check_encryption(host: str, port: int) -> None:
    """See to it that we and the head at `host` and `port` agree on TLS.

    Raises:
        ValueError: `RAY_USE_TLS` is set, and a file is missing.
        ConnectionError: Only one side has TLS, or the head's certificate does not hold.
    """
    wanted = os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")
    there = _handshake(host, port, _unchecked()) is None
    if wanted and not there:
        raise ConnectionError(
            f"the cluster at {host}:{port} has no TLS, and RAY_USE_TLS is set here: start Ray "
            f"there with it, or unset it"
        )
    if there and not wanted:
        raise ConnectionError(
            f"the cluster at {host}:{port} has TLS: set RAY_USE_TLS=1 and {', '.join(VARIABLES)} "
            f"as there"
        )
    if wanted:
        fault = _handshake(host, port, _checked(host))
        if fault is not None:
            raise ConnectionError(
                f"the certificate of the cluster at {host}:{port} must hold for {host} and be of "
                f"the authority in RAY_TLS_CA_CERT: {fault}"
            )


def _handshake(host: str, port: int, context: ssl.SSLContext) -> str | None:
    """None if it is made; else what is wrong."""
    try:
        with (
            socket.create_connection((host, port), timeout=PATIENCE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:  # `ssl.SSLError` is one
        return str(error)


def _unchecked() -> ssl.SSLContext:
    """For finding out whether there is TLS at all; nothing is said through it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _checked(host: str) -> ssl.SSLContext:
    certificate, key, authority = (os.environ.get(name, "") for name in VARIABLES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = host not in LOOPBACK
    try:
        context.load_verify_locations(authority)
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise ValueError(
            f"RAY_USE_TLS needs the files of {', '.join(VARIABLES)}: {error}"
        ) from None
    return context

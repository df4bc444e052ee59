"""A server for tests on a port of this machine."""

import socket
import threading
from contextlib import contextmanager, suppress

PATIENCE_S = 30


@contextmanager
def server(serve):
    """Something that serves each connection in a thread of its own; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def echo(sock):
    """Say what is heard, for `server`."""
    with sock, suppress(OSError):
        while data := sock.recv(65536):
            sock.sendall(data)


def is_open(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0

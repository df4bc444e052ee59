"""A server that says what it hears, and ports of this machine."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

PATIENCE_S = 20


@contextmanager
def echoing():
    """A server that says what it hears; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def echo(sock):
            with sock, suppress(OSError):
                while data := sock.recv(4096):
                    sock.sendall(data)

        def accept():
            with suppress(OSError):
                while True:
                    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def is_open(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def until(condition):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)

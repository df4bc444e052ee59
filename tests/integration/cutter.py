"""A TCP proxy on loopback that cuts or silences its connections when told to, if need be in the middle of an answer."""

import random
import socket
import struct
import threading
from contextlib import suppress

AT_ONCE = struct.pack("ii", 1, 0)  # a close that sends a reset, as a dead host or a firewall would


MESSAGE_BYTES = 500
"""An answer of more than this has messages in it."""


class Cutter:
    """
    Stands between a node and a server.

    Attributes:
        port: Where it listens.
        cuts: How many connections it has cut.
        torn: How many of them in the middle of an answer.
    """

    def __init__(self, port, seed=1):
        self._target, self._chance = ("127.0.0.1", port), random.Random(seed)
        self._lock, self._pairs, self._tear, self.cuts, self.torn = threading.Lock(), set(), False, 0, 0
        self._silent = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._listener.close()
        self.cut()

    def cut(self):
        """Reset all connections, now."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        self.cuts += len(pairs)
        for sock in [sock for pair in pairs for sock in pair]:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def silence(self):
        """Carry nothing more on any connection that there is, and close none: as a firewall that forgot them would."""
        with self._lock:
            self._silent |= {sock for pair in self._pairs for sock in pair}

    def tear(self):
        """Let a part of the next answer with messages through, then reset all connections."""
        self._tear = True

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                with self._lock:
                    self._pairs.add((near, far))
                self._start(self._carry, near, far, False)
                self._start(self._carry, far, near, True)

    def _carry(self, source, target, answers):
        with suppress(OSError):
            while data := source.recv(65536):
                if source in self._silent:
                    continue
                if answers and self._tear and len(data) > MESSAGE_BYTES:
                    self._tear = False
                    target.sendall(data[: self._chance.randrange(1, len(data))])
                    self.torn += 1
                    self.cut()
                    return
                target.sendall(data)
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _start(self, function, *args):
        threading.Thread(target=function, args=args, daemon=True).start()

"""A plugin of pytest for the tests of others: it puts the atomic transport in the place of kombu's if asked to."""

import os

from poolrace import transport

TRANSPORT = "PEERS_TRANSPORT"

if os.environ.get(TRANSPORT) == "atomic":
    transport.install()

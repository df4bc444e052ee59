"""The event loop reads the sockets that it does not read yet."""

import socket

from kombu.asynchronous import Hub

from poolrace.transport.poller import Poller


def test_a_socket_that_the_loop_reads_is_not_added_to_it_again():
    reader, other_reader, poller, hub = print, repr, Poller(), Hub()
    one, other = socket.socketpair()
    with one, other:
        poller._fd_to_chan = {one.fileno(): ("channel", "BRPOP")}
        poller.hub, poller.reader = hub, reader
        assert list(poller.fds) == [one.fileno()]
        hub.add_reader(one, other_reader)
        assert list(poller.fds) == [one.fileno()]
        hub.add_reader(one, reader)
        assert list(poller.fds) == []
        hub.close()

"""A link between a node and its broker that can be cut, mended and made slow: a small proxy on the loopback."""

import socket
import threading
import time
from contextlib import suppress

from tests.support.cluster import free_port

__all__ = ["Link"]


class Link:
    """Passes what a node sends to `url` on to a broker, and back."""

    def __init__(self, broker_port: int) -> None:
        """Pass everything, at once."""
        port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/"
        self.delay_s = 0.0
        """How long each piece takes, one after another."""
        self.accepted = 0
        """How many connections the node has opened, cut or not."""
        self._broker_port = broker_port
        self._is_cut = False
        self._cuts = 0
        self._there = threading.Event()
        self._back = threading.Event()
        self.mend()
        self._server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Pass nothing more, not even that the other side is gone: a host without power says nothing."""
        self.mute()
        self.deafen()

    def mute(self) -> None:
        """Pass nothing more that the node says; what the broker says still arrives."""
        self._is_cut = True
        self._there.clear()

    def deafen(self) -> None:
        """Pass nothing more that the broker says; what the node says still arrives, and it does not learn of it."""
        self._is_cut = True
        self._back.clear()

    def stall(self) -> None:
        """Pass nothing more until it is mended, and then all of it, late."""
        self._there.clear()
        self._back.clear()

    def mend(self) -> None:
        """Let everything pass. Connections from before a cut end, and what was under way on them is lost."""
        self._cuts += self._is_cut
        self._is_cut = False
        self._there.set()
        self._back.set()

    def close(self) -> None:
        """End for good."""
        self.cut()
        self._server.close()
        self.mend()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                node, _ = self._server.accept()
                self.accepted += 1
                threading.Thread(target=self._join, args=(node,), daemon=True).start()

    def _join(self, node: socket.socket) -> None:
        self._there.wait()
        self._back.wait()
        cuts = self._cuts
        try:
            broker = socket.create_connection(("127.0.0.1", self._broker_port))
        except OSError:
            node.close()
            return
        for source, target, way in ((node, broker, self._there), (broker, node, self._back)):
            threading.Thread(target=self._pass_on, args=(source, target, way, cuts), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, way: threading.Event, cuts: int) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                time.sleep(self.delay_s)
                way.wait()
                if self._cuts != cuts:
                    break
                target.sendall(data)
        way.wait()
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

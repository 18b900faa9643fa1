"""A way to a server that takes a statement there and loses the answer."""

from __future__ import annotations

import contextlib
import socket
import threading


class Lossy:
    """Listens on `port` and passes on to a server's; once `cut` is set, the connection on which the
    bytes `word` come next is closed after the server has answered, and the answer not passed on.
    """

    def __init__(self, server_port: int, word: bytes) -> None:
        self.server_port, self.word, self.cut, self.lost = server_port, word, False, 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            swallow = threading.Event()
            for args in ((client, server, swallow, True), (server, client, swallow, False)):
                threading.Thread(target=self._pass, args=args, daemon=True).start()

    def _pass(
        self, source: socket.socket, target: socket.socket, swallow: threading.Event, out: bool
    ) -> None:
        try:
            while data := source.recv(1 << 16):
                if out and self.cut and self.word in data:
                    self.cut = False
                    swallow.set()
                if not out and swallow.is_set():
                    self.lost += 1
                    break
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.listening.close()

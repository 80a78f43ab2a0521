"""Servers of films, on this computer: HTTP with and without parts of files, HTTPS, and RTSP."""

from __future__ import annotations

import http.server
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

RTSP_PACKET = 7 * 188
_SDP = "\r\n".join(
    ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=door", "t=0 0", "m=video 0 RTP/AVP 33", "a=control:track1", "")
)


class Parts(http.server.BaseHTTPRequestHandler):
    """Answers with a file of a folder, or with a part of it (RFC 9110, 14), and closes the connection if told so."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        data = (self.folder / self.path[1:]).read_bytes()
        part = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        begin, end = (int(part[1]), int(part[2] or len(data) - 1)) if part else (0, len(data) - 1)
        self.send_response(206 if part else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end + 1 - begin))
        if part:
            self.send_header("Content-Range", f"bytes {begin}-{end}/{len(data)}")
        self.end_headers()
        try:
            self.wfile.write(data[begin : end + 1])
        except OSError:  # the client goes on elsewhere in the file
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
        pass


class Quiet(http.server.ThreadingHTTPServer):
    """Prints nothing of clients that close their connection."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def http_films(folder: Path, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """The address of a folder; with a certificate's chain and key by HTTPS."""
    server = Quiet(("127.0.0.1", 0), type("Handler", (Parts,), {"folder": folder}))
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def rtsp_films(film: Path) -> Iterator[str]:
    """The address of an MPEG-TS, sent once to each client, in RTP over its RTSP connection (RFC 2326, 10.12)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_accept, args=(server, film.read_bytes()))
        thread.start()
        try:
            yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/door"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(server: socket.socket, data: bytes) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client, client.makefile("rb") as requests:
            _answer(client, requests, data)


def _answer(client: socket.socket, requests: BinaryIO, data: bytes) -> None:
    while lines := list(iter(lambda: requests.readline().decode().strip(), "")):
        head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        verb, url, _ = lines[0].split()
        status, more, body = "200 OK", "", ""
        if verb == "OPTIONS":
            more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif verb == "DESCRIBE":
            more, body = f"Content-Type: application/sdp\r\nContent-Base: {url}/\r\n", _SDP
        elif verb == "SETUP" and "TCP" not in head["transport"]:
            status = "461 Unsupported Transport"
        elif verb == "SETUP":
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        answer = f"RTSP/1.0 {status}\r\nCSeq: {head['cseq']}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
        client.sendall(answer.encode())
        if verb == "PLAY":
            for number, begin in enumerate(range(0, len(data), RTSP_PACKET)):
                packet = struct.pack(">BBHII", 0x80, 33, number, 0, 1) + data[begin : begin + RTSP_PACKET]
                client.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
            return

"""http2.py - as much of an HTTP/2 client over TLS as it takes to ask, read the
answer's bytes, and reset the stream.
"""

import json
import socket
import ssl
import struct

DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS = 1, 4
CANCEL = 8
STREAM = 1


def tls_context(protocol):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def tls_socket(port, context):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(sock, server_hostname="localhost")


def frame(kind, flags, stream, data=b""):
    return struct.pack(">I", len(data))[1:] + struct.pack(">BBI", kind, flags, stream) + data


def text(value):
    """A string of HPACK, as it is."""
    value = value.encode()
    size = len(value)
    if size < 127:
        return bytes([size]) + value
    head, size = b"\x7f", size - 127
    while size >= 128:
        head += bytes([size % 128 + 128])
        size //= 128
    return head + bytes([size]) + value


class Http2:
    def __init__(self, port):
        self.sock = tls_socket(port, tls_context("h2"))
        assert self.sock.selected_alpn_protocol() == "h2"
        self.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))

    def ask(self, path, token, body):
        data = json.dumps(body).encode()
        fields = {":method": "POST", ":scheme": "https", ":authority": "localhost",
                  ":path": path, "content-type": "application/json",
                  "authorization": "Bearer " + token, "content-length": str(len(data))}
        block = b"".join(b"\0" + text(name) + text(value) for name, value in fields.items())
        self.sock.sendall(frame(HEADERS, END_HEADERS, STREAM, block)
                          + frame(DATA, END_STREAM, STREAM, data))
        return self

    def recv(self, size):
        """Frames as they come."""
        return self.sock.recv(size)

    def reset(self):
        """The stream; the connection stays."""
        self.sock.sendall(frame(RST_STREAM, 0, STREAM, struct.pack(">I", CANCEL)))

    def close(self):
        self.sock.close()

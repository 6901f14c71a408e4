"""A target: an HTTP server that says which one it is and, as the PROXY header tells it, who the client is.

Run it::

    python3 target.py 9001
"""

import socketserver
import sys


class Target(socketserver.StreamRequestHandler):
    def handle(self):
        header = self.rfile.readline().decode().split()  # PROXY TCP4, and the addresses and ports of both ends
        if header[:2] != ["PROXY", "TCP4"]:
            return  # a health check
        while self.rfile.readline().strip():
            pass
        self.wfile.write(f"HTTP/1.0 200 OK\r\n\r\ntarget {sys.argv[1]} serves {header[2]}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Target).serve_forever()

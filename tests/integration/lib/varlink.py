# SPDX-License-Identifier: MIT
"""A Varlink client in a few lines, for what p2pctl would never send and for cheap polling."""
import array
import json
import socket


class VarlinkError(Exception):
    def __init__(self, name, parameters):
        super().__init__(f"{name}: {parameters}")
        self.name = name
        self.parameters = parameters


class Varlink:
    """One connection to a control socket."""

    def __init__(self, path, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.buffer = b""
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, method, parameters=None, more=False, descriptors=()):
        if "." not in method:
            method = "org.p2pnode." + method
        message = {"method": method, "parameters": parameters or {}}
        if more:
            message["more"] = True
        data = json.dumps(message).encode() + b"\0"
        ancillary = []
        if descriptors:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        sent = self.socket.sendmsg([data], ancillary)
        self.socket.sendall(data[sent:])

    def receive(self):
        """The next message; None at the end of the connection."""
        while b"\0" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, parameters=None, descriptors=()):
        self.send(method, parameters, descriptors=descriptors)
        reply = self.receive()
        if reply is None:
            raise ConnectionError("the daemon closed the connection")
        if "error" in reply:
            raise VarlinkError(reply["error"], reply.get("parameters", {}))
        return reply["parameters"]

    def stream(self, method, parameters=None):
        """All replies of a call with `more`, one after the other."""
        self.send(method, parameters, more=True)
        while True:
            reply = self.receive()
            if reply is None:
                raise ConnectionError("the daemon closed the connection")
            if "error" in reply:
                raise VarlinkError(reply["error"], reply.get("parameters", {}))
            yield reply["parameters"]
            if not reply.get("continues"):
                return

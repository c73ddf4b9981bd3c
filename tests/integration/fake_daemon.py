# SPDX-License-Identifier: MIT
"""A Varlink server that answers p2pctl from a table, so that screens can be tested without a daemon.

The table maps a method ("Status") to what it answers: one object, a list of objects (a stream or a list
in parts), an Error, or a function of (parameters, descriptors) that returns any of these. "@-200" as a
value stands for the time 200 seconds ago; "@+60" is now, however long the answer takes.
"""
import datetime
import json
import os
import re
import socket
import threading


class Error:
    def __init__(self, name, **parameters):
        self.name = name if "." in name else "org.p2pnode." + name
        self.parameters = parameters


SILENCE = object()  # no answer at all, until the client goes away
HANG_UP = object()  # the connection is closed instead of an answer


def resolve_times(value):
    if isinstance(value, dict):
        return {key: resolve_times(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_times(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"@[-+][0-9.]+", value):
        now = datetime.datetime.now(datetime.timezone.utc)
        then = now - datetime.timedelta(seconds=-float(value[1:]))
        return then.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (then.microsecond // 1000)
    return value


class FakeDaemon:
    def __init__(self, path, answers):
        self.path = str(path)
        self.answers = answers
        self.calls = []  # (method, parameters, more)
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def close(self):
        # Its thread has to be gone before the number of the descriptor is: else the next server, born with
        # the same number, would be served by this one, from this one's table.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join()
        self.listener.close()
        os.unlink(self.path)

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data, descriptors = b"", []
        with connection:
            while True:
                try:
                    part, received, _, _ = socket.recv_fds(connection, 65536, 4)
                except OSError:
                    return
                if not part:
                    return
                data += part
                descriptors += received
                while b"\0" in data:
                    message, data = data.split(b"\0", 1)
                    try:
                        self.answer(connection, json.loads(message), descriptors)
                    except (BrokenPipeError, ConnectionResetError):
                        return
                    finally:
                        for fd in descriptors:
                            os.close(fd)
                        descriptors = []

    def answer(self, connection, call, descriptors):
        method = call["method"].removeprefix("org.p2pnode.")
        parameters = call.get("parameters", {})
        self.calls.append((method, parameters, call.get("more", False)))
        answer = self.answers.get(method, Error("org.varlink.service.MethodNotFound", method=call["method"]))
        if callable(answer):
            answer = answer(parameters, descriptors)
        objects = answer if isinstance(answer, list) else [answer]
        for index, item in enumerate(objects):
            if item is SILENCE:
                return
            if item is HANG_UP:
                connection.shutdown(socket.SHUT_RDWR)
                return
            if isinstance(item, Error):
                reply = {"error": item.name, "parameters": item.parameters}
            else:
                reply = {"parameters": resolve_times(item)}
                if index + 1 < len(objects):
                    reply["continues"] = True
            connection.sendall(json.dumps(reply).encode() + b"\0")

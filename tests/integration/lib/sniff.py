# SPDX-License-Identifier: MIT
"""What travels over the loopback, as an eavesdropper sees it, and the means to send it once more."""
import select
import socket
import struct

ETH_P_IP = 0x0800
PACKET_HOST = 0
PORT = 7717


class Datagram:
    def __init__(self, source, target, payload):
        self.source, self.target, self.payload = source, target, payload


class Sniffer:
    """Collects the UDP datagrams of port 7717 within a network 127.81.x.0/24."""

    def __init__(self, network):
        self.prefix = bytes((127, 81, network))
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("lo", ETH_P_IP))
        self.socket.setblocking(False)
        self.datagrams = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def collect(self):
        """Takes what has come so far; returns all."""
        while select.select([self.socket], [], [], 0)[0]:
            packet, (_, _, kind, _, _) = self.socket.recvfrom(65536)
            start = (packet[0] & 15) * 4
            if kind != PACKET_HOST or packet[9] != socket.IPPROTO_UDP or packet[16:19] != self.prefix:
                continue
            source, target = struct.unpack("!HH", packet[start:start + 4])
            if target == PORT:
                self.datagrams.append(Datagram((packet[12:16], source), (packet[16:20], target), packet[start + 8:]))
        return self.datagrams


def send_as(datagram, payload=None):
    """The datagram once more, from the address it had."""
    payload = datagram.payload if payload is None else payload
    udp = struct.pack("!HHHH", datagram.source[1], datagram.target[1], 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0,
                     datagram.source[0], datagram.target[0])
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(ip + udp, (socket.inet_ntoa(datagram.target[0]), 0))

"""A DNS server on loopback with the TXT records of a test, and scripted faults."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

STRING = 255  # octets in one string


class DnsServer:
    """Server over UDP. `texts`: TXT values by name; a value may be a list of strings. `mx`: MX
    values by name. All other names do not exist.

    `silent`: names that get no answer. `broken`: names that get SERVFAIL. `asked`: the names that were asked for.
    """

    def __init__(self) -> None:
        self.texts: dict[str, list[str | Sequence[str]]] = {}
        self.mx: dict[str, list[str]] = {}
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="dns", daemon=True)

    @property
    def address(self) -> str:
        """Value for DNS_SERVER."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    @property
    def port(self) -> int:
        """Its port."""
        return int(self._socket.getsockname()[1])

    def publish(self, name: str, *values: str | Sequence[str]) -> None:
        """Have these TXT values at a name, in place of those that it had."""
        self.texts[name.lower()] = list(values)

    def __enter__(self) -> DnsServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        # A datagram of nothing ends the thread: closing the socket would not wake it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            octets, client = self._socket.recvfrom(4096)
            if not octets:
                return
            if answer := self._answer(dns.message.from_wire(octets)):
                with suppress(OSError):  # Who asked may be gone.
                    self._socket.sendto(answer.to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        asked = query.question[0]
        name = asked.name.to_text().rstrip(".").lower()
        self.asked.append(name)
        if name in self.silent:
            return None
        answer = dns.message.make_response(query, recursion_available=True)
        if name in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif not any(f".{known}".endswith(f".{name}") for known in (*self.texts, *self.mx)):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif values := self._values(name, asked.rdtype):
            answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", asked.rdtype, *values))
        return answer

    def _values(self, name: str, type: dns.rdatatype.RdataType) -> list[str]:
        if type == dns.rdatatype.TXT:
            return [_presented(value) for value in self.texts.get(name, ())]
        return self.mx.get(name, []) if type == dns.rdatatype.MX else []


def _presented(value: str | Sequence[str]) -> str:
    """Return a value as a zone file has it; a text is cut into strings of the largest size."""
    strings = [value[at : at + STRING] for at in range(0, len(value), STRING)] if isinstance(value, str) else value
    return " ".join('"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"' for one in strings)

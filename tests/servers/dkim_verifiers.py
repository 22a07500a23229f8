"""OpenDKIM as a milter for Postfix, and rspamd, as the distribution ships them: verifiers of DKIM signatures."""

from __future__ import annotations

import json
import os
import pwd
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.eventually import eventually
from tests.processes import Group
from tests.servers.programs import program, unprivileged
from tests.system import free_port

OPENDKIM = """Mode v
Socket inet:{port}@127.0.0.1
TestPublicKeys {directory}/keys
AuthservID verifier.example
AlwaysAddARHeader yes
InternalHosts 192.0.2.1
"""
# Without a list of top-level domains of its own, it compiles that of the world, for a minute.
RSPAMD = """options {{
  pidfile = "{directory}/rspamd.pid"; tempdir = "{directory}"; control_socket = "{directory}/control mode=0600";
  filters = "dkim"; url_tld = "{directory}/tld";
  dns {{ nameserver = ["127.0.0.1:{dns_port}"]; timeout = 5s; }}
}}
logging {{ type = "console"; level = "warning"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
dkim {{ }}
actions {{ reject = 150; }}
"""


class OpenDkim:
    """Milter that notes in Authentication-Results what it says of each signature. `keys`: TXT values by name."""

    def __init__(self, directory: Path, keys: Mapping[str, str]) -> None:
        self.port = free_port()
        (directory / "keys").write_text("".join(f"{name} {value}\n" for name, value in keys.items()))
        (directory / "opendkim.conf").write_text(OPENDKIM.format(port=self.port, directory=directory))
        _open_to_all(directory)
        command = [program("opendkim", "opendkim"), "-f", "-x", str(directory / "opendkim.conf")]
        self._group = Group(command, dict(os.environ), directory / "opendkim.log", directory, unprivileged("opendkim"))
        self.log = directory / "opendkim.log"

    def kill(self) -> None:
        self._group.kill()


class Rspamd:
    """The server of rspamd with nothing but its check of DKIM, which asks the DNS server at `dns_port`."""

    def __init__(self, directory: Path, dns_port: int) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        (directory / "tld").write_text("com\n")
        (directory / "rspamd.conf").write_text(RSPAMD.format(port=port, directory=directory, dns_port=dns_port))
        _open_to_all(directory)
        user = pwd.getpwnam("_rspamd")
        os.chown(directory, user.pw_uid, user.pw_gid)
        command = [
            program("rspamd", "rspamd"),
            "-f",
            "-c",
            str(directory / "rspamd.conf"),
            "-u",
            "_rspamd",
            "-g",
            "_rspamd",
        ]
        self.log = directory / "rspamd.log"
        self._group = Group(command, dict(os.environ), self.log, directory)
        eventually(self._answers, within=30, saying=self.log.read_text)

    def kill(self) -> None:
        self._group.kill()

    def passing(self, mail: bytes) -> list[str]:
        """Return the selectors of the signatures that pass."""
        # It trusts mails of its own machine without looking at them.
        request = urllib.request.Request(f"{self._url}/checkv2", mail, {"IP": "192.0.2.1"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            symbols: dict[str, Any] = json.load(answer)["symbols"]
        return [option.partition(":s=")[2] for option in symbols.get("R_DKIM_ALLOW", {}).get("options", ())]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/ping", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _open_to_all(directory: Path) -> None:
    """Let the servers' users read what is in a directory."""
    directory.chmod(0o755)
    for file in directory.iterdir():
        file.chmod(0o644)

"""Choose the DKIM keys of a mail, and sign it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from actors.channels import Deferred
from actors.channels.email import dkim
from actors.channels.email.mail import Mail, written_at
from db.domain_keys import SigningKey
from db.records import Claimed
from runtime.sealing import CannotOpen, Sealer

PURPOSE = "dkim private keys 1"
# The signature that is made last stands first. A verifier that stops at an algorithm it does not know must not stop
# before RSA, which all know.
ORDER = ("ed25519", "rsa")

Owner = tuple[int | None, str]  # the client, or None for the operators, and the domain


class Signer:
    """The keys of all domains. A key is decrypted when it signs for the first time.

    `replace` may run in another thread than the rest.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._sealer = Sealer(secrets, PURPOSE) if secrets else None
        self._keys: dict[Owner, list[SigningKey]] = {}
        self._loaded: dict[int, dkim.Key] = {}

    def replace(self, keys: Iterable[SigningKey]) -> None:
        """Use these keys from now on."""
        found: defaultdict[Owner, list[SigningKey]] = defaultdict(list)
        for key in keys:
            found[key.client_id, key.domain].append(key)
        known = {key.id for several in found.values() for key in several if key.private_key}
        self._keys = dict(found)
        self._loaded = {id: loaded for id, loaded in self._loaded.items() if id in known}

    def fault(self) -> str:
        """Return a sentence that says why a key that signs cannot be used; empty if all can."""
        for key in (key for several in self._keys.values() for key in several):
            try:
                if key.private_key and key.signs_until is None:
                    self._load(key)
            except Deferred as error:
                return f"{error}: set it as it was, or remove the domain with `notify domains remove {key.domain}`"
        return ""

    def signed(self, mail: Mail, notification: Claimed, *, own: bool) -> Mail:
        """Return the mail, signed if the domain of its sender has keys that its client may use.

        `own`: its sender is that of the settings, for which the operators' domains sign too.

        Raises:
            Deferred: The key cannot be decrypted.
        """
        if not self._keys:
            return mail
        at = written_at(notification)
        domain = mail.sender.rpartition("@")[2].lower()
        owners: list[Owner] = [(notification.client_id, domain), *([(None, domain)] if own else [])]
        for owner in owners:
            if keys := _chosen(self._keys.get(owner, ()), at):
                loaded = [self._load(key) for key in keys]
                return mail._replace(content=dkim.sign(mail.content, loaded, int(at.timestamp())))
        return mail

    def _load(self, key: SigningKey) -> dkim.Key:
        if (loaded := self._loaded.get(key.id)) is None:
            loaded = self._loaded[key.id] = dkim.Key(key.domain, key.selector, key.algorithm, self._opened(key))
        return loaded

    def _opened(self, key: SigningKey) -> RSAPrivateKey | Ed25519PrivateKey:
        # The mail must not go without its signature. It can be sent when the secret is there again.
        if self._sealer is None:
            raise Deferred(f"{key.domain} must be signed, but DOMAIN_KEYS_SECRET is not set", phase="compose")
        try:
            der = self._sealer.open(key.private_key or b"")
        except CannotOpen:
            text = f"{key.domain} must be signed, but its key was encrypted with another DOMAIN_KEYS_SECRET"
            raise Deferred(text, phase="compose") from None
        # The key is ours, and its encryption is authenticated: a check would take a tenth of a second.
        private = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
            raise TypeError(f"key {key.id} is no DKIM key")
        return private


@cache
def of_process(secrets: tuple[str, ...]) -> Signer:
    """Return the signer that all mail servers of this process share; `secrets` are those of the settings."""
    return Signer(secrets)


def _chosen(keys: Sequence[SigningKey], at: datetime) -> list[SigningKey]:
    """Return the key of each algorithm that signs what was written at this time."""
    chosen = []
    for algorithm in ORDER:
        several = [key for key in keys if key.algorithm == algorithm]
        key = next((key for key in several if key.signs(at)), None)
        if key is not None and key.private_key is None:  # Retired: only the current key can sign so old a mail.
            key = next((key for key in several if key.signs_until is None), None)
        if key is not None:
            chosen.append(key)
    return chosen

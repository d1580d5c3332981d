"""Keys of clients: made once, kept as a hash, compared in constant time.

Source: our own. A key is 32 random bytes of the operating system, so its SHA-256 cannot be searched for: a slow hash
(scrypt, bcrypt) protects what people choose, costs milliseconds on every request, and adds nothing to 256 random bits.
A key that a person chose is not safe here, which is why `ponder keys` makes them and the settings take only hashes.
The check hashes what came and compares it with every configured hash, found or not, so its time tells neither which
key matched nor how much of one. No function here logs, and no error holds what a client sent.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from ponder.gateway.settings import Key, Settings

__all__ = ["ANYONE", "HASH", "authenticate", "hash_key", "make_key"]

HASH = re.compile(r"sha256:[0-9a-f]{64}")
# Whoever calls a gateway that has no keys.
ANYONE = Key(name="anyone", hash="")
_PREFIX = "ponder-"
_LONGEST = 512  # characters; more is no key of ours and is not hashed
_BYTES = 32


def make_key() -> str:
    """Return a new key: "ponder-" and 43 characters that hold 256 random bits. It is stored nowhere."""
    return _PREFIX + secrets.token_urlsafe(_BYTES)


def hash_key(key: str) -> str:
    """Return what the settings hold of a key: "sha256:" and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def authenticate(authorization: str | None, settings: Settings) -> Key | None:
    """Return whose key the header holds.

    Args:
        authorization: the whole header, "Bearer KEY" (the scheme in any case), or None when there was none.
        settings: where the hashes are.

    Returns:
        The key's entry; `ANYONE` where no keys are configured, whatever the header; None for no key or a wrong one.
    """
    if not settings.keys:
        return ANYONE
    scheme, _, given = (authorization or "").strip().partition(" ")
    given = given.strip()
    usable = scheme.lower() == "bearer" and 0 < len(given) <= _LONGEST
    digest = hash_key(given if usable else "").encode()
    found: Key | None = None
    for key in settings.keys:  # all of them, so that time does not tell which one matched
        if hmac.compare_digest(digest, key.hash.encode()):
            found = key
    return found if usable else None

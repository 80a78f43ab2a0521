"""The tokens with which a device joins, and the signed cookies that it gets; both survive a restart."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from whycam.stream.private_files import write_private

Role: TypeAlias = Literal["host", "phone", "viewer"]
"""host: this computer; phone: sends its camera; viewer: watches."""

GUEST_ROLES: tuple[Role, ...] = ("phone", "viewer")
FILE = "access.json"
COOKIE_DAYS = 30


class CredentialsDamaged(ValueError):
    """The token file cannot be used; says what to do."""


class CookieRefused(ValueError):
    """A cookie that this server did not sign, or that is too old; says what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One token per role, and the key that signs cookies."""

    tokens: dict[Role, str] = field(repr=False)
    key: bytes = field(repr=False)
    now: Callable[[], float] = time.time

    @classmethod
    def made(cls) -> Credentials:
        """New ones; devices that joined before have to join again."""
        return cls({role: secrets.token_urlsafe(16) for role in GUEST_ROLES}, secrets.token_bytes(32))

    @classmethod
    def kept(cls, folder: Path, *, new: bool = False) -> Credentials:
        """Those in a folder; made if there are none, or if `new`. Raises `CredentialsDamaged`."""
        path = folder / FILE
        if new or not path.exists():
            made = cls.made()
            write_private(path, json.dumps({"tokens": made.tokens, "key": made.key.hex()}).encode())
            return made
        try:
            text = json.loads(path.read_text("utf-8"))
            read = cls({role: str(text["tokens"][role]) for role in GUEST_ROLES}, bytes.fromhex(text["key"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CredentialsDamaged(
                f"{path} cannot be read. Start with --new-token; every phone joins again."
            ) from error
        if len(read.key) < 32 or any(len(token) < 20 for token in read.tokens.values()):
            raise CredentialsDamaged(
                f"{path} is too short to be safe. Start with --new-token; every phone joins again."
            )
        return read

    def role_of(self, token: str) -> Role | None:
        """The role that a token gives, or None; compares every token, in constant time."""
        given = token.encode("utf-8", "surrogatepass")  # JSON and headers may contain lone surrogates
        found: Role | None = None
        for role, known in self.tokens.items():
            if hmac.compare_digest(known.encode(), given):
                found = role
        return found

    def cookie(self, role: Role, device: str | None = None) -> str:
        """A device's cookie: role, device name (new if None), time of joining in Unix seconds, and our signature."""
        text = f"{role}.{device or secrets.token_urlsafe(9)}.{int(self.now())}"
        return f"{text}.{self._signature(text)}"

    def read_cookie(self, cookie: str) -> tuple[Role, str]:
        """The role and device of a cookie; raises `CookieRefused`."""
        text, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(self._signature(text).encode(), signature.encode("utf-8", "surrogatepass")):
            raise CookieRefused("This device joined with an old code. Scan the code that the computer shows now.")
        role, device, joined = text.split(".")
        if self.now() - int(joined) > COOKIE_DAYS * 86400:
            raise CookieRefused(f"This device joined more than {COOKIE_DAYS} days ago. Scan the code again.")
        for known in GUEST_ROLES:
            if role == known:
                return known, device
        raise CookieRefused("This device joined with an old code. Scan the code that the computer shows now.")

    def key_of(self, device: str) -> str:
        """A device's key that only this server can compute, the same after a restart (`recording.ownership`)."""
        return self._signature(f"recordings of {device}")

    def _signature(self, text: str) -> str:
        return hmac.new(self.key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

"""A check of ICE (STUN) with the names and the password of a call, for a client without an ICE stack."""

from __future__ import annotations

import re

from aioice import stun


def check(offer: str, answer: str) -> bytes:
    """A check that nominates, as the sender of the offer makes it."""
    (mine, _), (theirs, password) = (
        re.search(r"a=ice-ufrag:(\S+)\s+a=ice-pwd:(\S+)", text).groups()  # type: ignore[union-attr]
        for text in (offer, answer)
    )
    message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    message.attributes.update(
        {"USERNAME": f"{theirs}:{mine}", "PRIORITY": 1, "ICE-CONTROLLING": 1, "USE-CANDIDATE": None}
    )
    message.add_message_integrity(password.encode())
    return bytes(message)

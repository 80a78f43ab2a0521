"""Tokens and cookies survive a restart, and nothing else gives access."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from whycam.stream.server.tokens import COOKIE_DAYS, FILE, CookieRefused, Credentials, CredentialsDamaged


def test_they_survive_a_restart_in_a_file_of_this_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    first = Credentials.kept(folder)
    again = Credentials.kept(folder)
    assert again.tokens == first.tokens
    assert again.read_cookie(first.cookie("phone"))[0] == "phone"
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_a_new_token_ends_the_old_one_and_every_cookie(tmp_path: Path) -> None:
    old = Credentials.kept(tmp_path)
    new = Credentials.kept(tmp_path, new=True)
    assert new.role_of(old.tokens["phone"]) is None
    with pytest.raises(CookieRefused, match="old code"):
        new.read_cookie(old.cookie("phone"))


def test_a_token_gives_its_role_and_nothing_else_gives_one() -> None:
    ours = Credentials.made()
    assert ours.role_of(ours.tokens["phone"]) == "phone"
    assert ours.role_of(ours.tokens["viewer"]) == "viewer"
    for wrong in ("", "phone", ours.tokens["phone"][:-1], ours.tokens["phone"] + "x", "é", "\udcff"):
        assert ours.role_of(wrong) is None


def test_each_devices_cookie_is_different() -> None:
    ours = Credentials.made()
    assert ours.read_cookie(ours.cookie("phone"))[1] != ours.read_cookie(ours.cookie("phone"))[1]


def test_a_cookie_that_was_changed_in_any_place_is_refused() -> None:
    ours = Credentials.made()
    cookie = ours.cookie("viewer")
    for place in range(len(cookie)):
        changed = cookie[:place] + ("a" if cookie[place] != "a" else "b") + cookie[place + 1 :]
        with pytest.raises(CookieRefused):
            ours.read_cookie(changed)
    for odd in ("", ".", "...", "host.x.1.", cookie.replace("viewer", "host"), "é" * 10, "\udcff.\udcff"):
        with pytest.raises(CookieRefused):
            ours.read_cookie(odd)


def test_a_cookie_ends_after_its_days() -> None:
    ours = Credentials.made()
    cookie = ours.cookie("phone")
    later = ours.now() + COOKIE_DAYS * 86400 + 1
    with pytest.raises(CookieRefused, match=f"{COOKIE_DAYS} days"):
        Credentials(ours.tokens, ours.key, now=lambda: later).read_cookie(cookie)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"tokens": {"phone": "", "viewer": ""}, "key": ""}', '{"tokens": 1, "key": "00"}']
)
def test_a_damaged_file_is_refused_with_advice(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(CredentialsDamaged, match="--new-token"):
        Credentials.kept(tmp_path)
    Credentials.kept(tmp_path, new=True)
    Credentials.kept(tmp_path)


def test_the_repr_contains_no_secret() -> None:
    ours = Credentials.made()
    assert not any(secret in repr(ours) for secret in (*ours.tokens.values(), ours.key.hex(), repr(ours.key)))

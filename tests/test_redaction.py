from __future__ import annotations

import base64
import json
import string
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.redaction import Redactor

# Put together here, so that no scanner takes this file for a leak.
KEYS = {
    "Anthropic key": "sk-ant-" + "api03-" + "Ab1_" * 20,
    "API key": "sk-" + "proj-" + "a1B2" * 10,
    "GitHub token": "ghp_" + "a1" * 18,
    "GitLab token": "glpat-" + "a1_-" * 5,
    "AWS access key": "AKIA" + "ABCDEFGH12345678",
    "Google key": "AIza" + "a" * 35,
    "Slack token": "xoxb-" + "1234567890-abc",
    "Stripe key": "sk_live_" + "a1" * 12,
    "npm token": "npm_" + "a" * 36,
    "PyPI token": "pypi-AgE" + "a" * 60,
    "Hugging Face token": "hf_" + "a" * 34,
    "JSON web token": ".".join("eyJ" + "a" * 20 for _ in "ab") + "." + "b" * 20,
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\n" + ("a" * 64 + "\n") * 3 + "-----END RSA PRIVATE KEY-----",
}
ENVIRONMENT = {"MY_TOKEN": "correct horse battery", "DB_PASSWORD": "hunter2hunter2", "HOME": "/home/somebody"}
REDACTOR = Redactor(ENVIRONMENT)
SECRETS = [*KEYS.values(), ENVIRONMENT["MY_TOKEN"], ENVIRONMENT["DB_PASSWORD"]]


@pytest.mark.parametrize("what", list(KEYS))
def test_known_formats(what: str) -> None:
    assert REDACTOR.text(f"x = '{KEYS[what]}';") == f"x = '[redacted: {what}]';"


def test_values_of_secret_variables() -> None:
    assert REDACTOR.text("say correct horse battery!") == "say [redacted: MY_TOKEN]!"
    assert REDACTOR.text("/home/somebody") == "/home/somebody"
    assert (
        Redactor({"A_TOKEN": "short", "B_TOKEN": "longer than that", "C_KEY": "not a secret"}).text(
            "short longer than that not a secret"
        )
        == "short [redacted: B_TOKEN] not a secret"
    )


@pytest.mark.parametrize(
    "text",
    [
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        "123e4567-e89b-12d3-a456-426614174000",
        "sha256:" + "a1" * 32,
        "task-force-of-the-most-notable-members",
        "risk-adjusted-return-on-capital-2024-report",
        "skeleton sk-learn disk-usage sk-short",
        "-----BEGIN PUBLIC KEY-----",
        "https://example.org/eyJ",
        "ghp_tooshort",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert REDACTOR.text(text) == text


def test_a_private_key_that_is_cut_off_or_numbered() -> None:
    key = KEYS["private key"]
    assert "aaaa" not in REDACTOR.text(key[:120])
    numbered = "\n".join(f"  {n}→{line}" for n, line in enumerate(key.split("\n"), 1))
    assert "aaaa" not in REDACTOR.text(numbered)


def test_images_stay() -> None:
    block = {"type": "image", "source": {"type": "base64", "data": KEYS["npm token"]}}
    assert REDACTOR.value(block) is block
    assert REDACTOR.value({"a": [KEYS["npm token"], 1]}) == {"a": ["[redacted: npm token]", 1]}


pieces = st.lists(
    st.one_of(st.sampled_from(SECRETS), st.text(string.ascii_letters + " \n-_.sk", max_size=12)), max_size=6
)


@given(pieces, st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_no_secret_comes_out_of_a_stream_however_it_is_cut(parts: list[str], cuts: list[int]) -> None:
    text = " ".join(parts)
    stream = REDACTOR.stream()
    shown, at, n = "", 0, 0
    while at < len(text):
        step = cuts[n % len(cuts)]
        shown += stream.feed(text[at : at + step])
        at, n = at + step, n + 1
    shown += stream.end()
    assert not any(secret in shown for secret in SECRETS)
    assert shown == REDACTOR.text(text)


def test_a_stream_without_secrets_is_not_held_back() -> None:
    stream = REDACTOR.stream()
    assert stream.feed("....") == "...."
    assert stream.feed("50%\n") == "50%\n"


def test_an_endless_line_is_not_held_back() -> None:
    stream = REDACTOR.stream()
    shown = sum(len(stream.feed("ab" * 40_000 + "sk")) for _ in range(20))
    assert 20 * 80_002 - shown < 20_000


def test_a_value_is_found_as_it_stands_in_json() -> None:
    redactor = Redactor({"MY_SECRET": 'line "one"\nline \u00e4'})
    for plain in (True, False):
        text = json.dumps({"a": 'x line "one"\nline \u00e4 y'}, ensure_ascii=plain)
        assert redactor.text(text) == '{"a": "x [redacted: MY_SECRET] y"}'
    assert redactor.value({redactor.secrets["MY_SECRET"]: None}) == {"[redacted: MY_SECRET]": None}


def test_blanks_around_a_value_are_not_part_of_it() -> None:
    assert Redactor({"MY_SECRET": "  a b c d e \n"}).text("<a b c d e>") == "<[redacted: MY_SECRET]>"


MORE_KEYS = {
    "Docker token": "dckr_pat_" + "Ab1_" * 7,
    "Vault token": "hvs." + "CAES" + "a1" * 12,
    "Grafana token": "glsa_" + "a1" * 16 + "_deadbeef",
    "Shopify token": "shpat_" + "a1" * 16,
    "Atlassian token": "ATATT3x" + "FfGF0" * 8,
    "Databricks token": "dapi" + "a1" * 16,
    "Groq key": "gsk_" + "a1" * 26,
}
PGP = (
    "-----BEGIN PGP PRIVATE "
    + "KEY BLOCK-----\nVersion: x\n\n"
    + "lQdGBF" * 30
    + "\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----"
)


@pytest.mark.parametrize("what", list(MORE_KEYS))
def test_more_formats_alone_and_in_pieces(what: str) -> None:
    text = f"x = '{MORE_KEYS[what]}';"
    assert REDACTOR.text(text) == f"x = '[redacted: {what}]';"
    assert in_pieces(text, 3) == f"x = '[redacted: {what}]';"


def in_pieces(text: str, size: int) -> str:
    stream = REDACTOR.stream()
    return "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.end()


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"a\n{PGP}\nb", "a\n[redacted: private key]\nb"),
        ("git clone https://me:s3cr3tpass@example.org/x", "git clone https://[redacted: password]@example.org/x"),
        ("AUTHORIZATION: basic " + "eDp5" * 6 + " end", "AUTHORIZATION: [redacted: credentials] end"),
        ("Authorization: Bearer " + "a1-_" * 6 + "\nend", "Authorization: [redacted: credentials]\nend"),
    ],
)
def test_addresses_headers_and_blocks_lose_what_is_secret(text: str, clean: str, size: int) -> None:
    assert in_pieces(text, size) == clean


@pytest.mark.parametrize(
    "text",
    [
        "https://user:$TOKEN@example.org",
        "https://user:{password}@example.org",
        "postgres://postgres:postgres@localhost/db",
        "https://example.org:8080/a@b",
        "mailto://a",
        "Authorization: Bearer $TOKEN",
        "see http://x/y:z",
    ],
)
def test_what_stands_for_a_password_in_examples_stays(text: str) -> None:
    assert REDACTOR.text(text) == text


@pytest.mark.parametrize("value", ["correct horse/battery?", "hunter2hunter2", "p+w/x=y&z~1234"])
@pytest.mark.parametrize("before", ["", "a", "ab", "user:"])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_values_are_found_encoded_and_in_pieces(value: str, before: str, size: int) -> None:
    redactor = Redactor({"MY_TOKEN": value})
    whole = (before + value + "!").encode()
    forms = [base64.b64encode(whole), base64.urlsafe_b64encode(whole), value.encode().hex().encode()]
    forms += [urllib.parse.quote(value).encode(), urllib.parse.quote_plus(value).encode()]
    for form in forms:
        stream = redactor.stream()
        text = f"x {form.decode()} y"
        out = "".join(stream.feed(text[at : at + size]) for at in range(0, len(text), size)) + stream.end()
        assert "[redacted: MY_TOKEN]" in out, form


@pytest.mark.parametrize(
    "name",
    [
        "PGPASSWORD", "MYSQL_PWD", "DB_PASS", "SSHPASS", "GH_PAT", "NPM_AUTH", "RAILS_MASTER_KEY", "ENCRYPTION_KEY",
        "DATABASE_URL", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "SENTRY_DSN", "SECRET_KEY_BASE", "REDIS_URL",
    ],
)  # fmt: skip
def test_names_that_hold_secrets(name: str) -> None:
    assert Redactor({name: "some secret value"}).text("some secret value") == f"[redacted: {name}]"


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "SSH_AUTH_SOCK", "PASSWORD_FILE", "PATH", "KEYBOARD", "AUTHOR"])
def test_names_that_hold_none(name: str) -> None:
    assert Redactor({name: "some plain value"}).text("some plain value") == "some plain value"

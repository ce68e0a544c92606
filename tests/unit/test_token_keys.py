"""Tokens signed by a JWK set: only the algorithms of its keys are accepted, never a shared secret."""

import asyncio
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from clients.chat import eventually
from clients.issuer import Issuer, ec_key, jwk, rsa_key, signed, without
from fakes.memory_revocations import MemoryRevocations, RecordingEventPublisher
from parley.gateway import auth
from parley.gateway import signing_keys as keys
from parley.gateway.auth import Authenticator
from parley.gateway.core.errors import Unauthorized, Unavailable
from parley.gateway.services.revocations import RevocationService
from parley.gateway.signing_keys import SigningKeys

SECRET = "a shared secret that is long enough for this"
OWN = rsa_key()
ANOTHER = rsa_key()
CURVED = ec_key()
PUBLIC = OWN.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
ONE = jwk(OWN, "one", alg="RS256")


def checks(trusted: SigningKeys, issuer: str = "", audience: str = "") -> Authenticator:
    revocations = RevocationService(MemoryRevocations(), RecordingEventPublisher(), timedelta(days=1))
    return Authenticator(trusted, revocations, issuer=issuer, audience=audience)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """An issuer that publishes one key, `one`."""
    async with Issuer() as issuer:
        issuer.keys = [ONE]
        yield issuer


@pytest.fixture
def trusted(issuer: Issuer) -> SigningKeys:
    """The published keys; a secret is set too, which must not be used."""
    return SigningKeys([SECRET], issuer.url)


@pytest.fixture
def authenticator(trusted: SigningKeys) -> Authenticator:
    return checks(trusted)


@pytest.fixture
def without_refetch_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow a fetch right after another."""
    monkeypatch.setattr(keys, "REFETCH_SECONDS", 0.0)
    monkeypatch.setattr(keys, "RETRY_SECONDS", 0.0)


def by_hand(algorithm: str, secret: bytes) -> str:
    """Sign a token with a secret that PyJWT refuses to sign with, under any algorithm's name."""
    body = signed(SECRET, "HS256", "one").split(".")[1]
    head = _part(f'{{"alg":"{algorithm}","typ":"JWT","kid":"one"}}'.encode())
    return f"{head}.{body}.{_part(hmac.digest(secret, f'{head}.{body}'.encode(), 'sha256'))}"


def with_head(**head: Any) -> str:
    """Make a token with any header, which nobody has signed."""
    body = signed(SECRET, "HS256", "one").split(".")[1]
    return f"{_part(json.dumps(head).encode())}.{body}.{_part(bytes(256))}"


def _part(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


async def is_refused(authenticator: Authenticator, token: str) -> None:
    with pytest.raises(Unauthorized):
        await authenticator.identify(token)


async def test_a_token_signed_by_the_published_key_is_trusted(authenticator: Authenticator) -> None:
    identity = await authenticator.identify(signed(OWN, "RS256", "one"))

    assert identity.person.id == "alice"


@pytest.mark.parametrize("form", ["{}", "Bearer {}", "bearer  {}", "BEARER\t{}", " {}\n", "\r\nBearer {} "])
async def test_a_token_may_have_its_scheme_and_white_space_around_it(
    form: str, authenticator: Authenticator
) -> None:
    identity = await authenticator.identify(form.format(signed(OWN, "RS256", "one")))

    assert identity.person.id == "alice"


@pytest.mark.parametrize("form", ["Basic {}", "Bearer Bearer {}", "Bearer {} x", "Bearer", "Bearer ", " "])
async def test_other_text_around_a_token_is_refused(form: str, authenticator: Authenticator) -> None:
    await is_refused(authenticator, form.format(signed(OWN, "RS256", "one")))


@pytest.mark.parametrize(("jti", "token_id"), [(4711, "4711"), ("4711", "4711"), (0, "0")])
async def test_a_numeric_token_id_is_taken_as_a_string(
    authenticator: Authenticator, jti: object, token_id: str
) -> None:
    identity = await authenticator.identify(signed(OWN, "RS256", "one", jti=jti))
    assert identity.token_id == token_id


@pytest.mark.parametrize(("length", "kept"), [(500, True), (2_048, True), (2_049, False)])
async def test_a_picture_s_url_is_kept_whole_or_not_at_all(
    authenticator: Authenticator, length: int, kept: bool
) -> None:
    url = "https://a.example/".ljust(length, "x")
    identity = await authenticator.identify(signed(OWN, "RS256", "one", avatar=url, name="n" * 501))
    assert identity.person.avatar == (url if kept else None)
    assert identity.person.name == "n" * 500


@pytest.mark.parametrize("jti", [True, 1.5, ["a"], {"a": 1}])
async def test_a_token_id_that_is_neither_text_nor_number_is_refused(
    authenticator: Authenticator, jti: object
) -> None:
    await is_refused(authenticator, signed(OWN, "RS256", "one", jti=jti))


async def test_a_claim_that_is_null_counts_as_if_it_were_not_there(authenticator: Authenticator) -> None:
    nulls = dict.fromkeys(["iat", "nbf", "jti", "aud", "name", "userId", "permissions"])
    identity = await authenticator.identify(signed(OWN, "RS256", "one", **nulls))

    assert (identity.person.id, identity.issued_at, identity.token_id) == ("alice", None, None)
    await is_refused(authenticator, signed(OWN, "RS256", "one", exp=None))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda: signed(SECRET, "HS256", "one"), id="by the secret"),
        pytest.param(lambda: signed(SECRET, "HS256", None), id="by the secret, without a kid"),
        pytest.param(lambda: by_hand("HS256", PUBLIC), id="by the public key as a secret"),
        pytest.param(lambda: by_hand("RS256", PUBLIC), id="by the public key as a secret, as if by RSA"),
        pytest.param(lambda: signed("", "none", "one"), id="unsigned"),
        pytest.param(lambda: signed(ANOTHER, "RS256", "one"), id="by another key of this name"),
        pytest.param(lambda: signed(ANOTHER, "RS256", "two"), id="by an unknown key"),
        pytest.param(lambda: signed(OWN, "RS256", None), id="by a key without a name"),
        pytest.param(lambda: signed(OWN, "RS512", "one"), id="by another algorithm"),
        pytest.param(lambda: signed(OWN, "PS256", "one"), id="by another padding"),
        pytest.param(lambda: signed(CURVED, "ES256", "one"), id="by another kind of key"),
        pytest.param(lambda: signed(OWN, "RS256", "one", exp=1), id="expired"),
        pytest.param(lambda: signed(OWN, "RS256", "one", sub=""), id="without a subject"),
        pytest.param(lambda: with_head(alg=["RS256"], kid="one"), id="with a list of algorithms"),
        pytest.param(lambda: with_head(alg={"RS256": 1}, kid="one"), id="with an object as its algorithm"),
        pytest.param(lambda: with_head(alg="RS256", kid=["one"]), id="with a list of key ids"),
        pytest.param(lambda: with_head(alg=None, kid=None), id="with nulls in its header"),
        pytest.param(lambda: with_head(alg="RS256", kid="one", crit=["b64"], b64=False), id="with crit"),
        pytest.param(lambda: "not.a.token", id="not a token"),
        pytest.param(lambda: "\udcff", id="not even text"),
    ],
)
async def test_no_other_token_is_trusted(wrong: Any, authenticator: Authenticator) -> None:
    await is_refused(authenticator, wrong())


async def test_a_token_without_a_key_id_is_checked_with_the_key_without_one(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    issuer.keys = [without(ONE, "kid")]

    assert (await authenticator.identify(signed(OWN, "RS256", None))).person.id == "alice"


async def test_an_elliptic_key_is_used_with_its_own_algorithm_only(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    issuer.keys = [ONE, jwk(CURVED, "curved")]

    assert (await authenticator.identify(signed(CURVED, "ES256", "curved"))).person.id == "alice"
    await is_refused(authenticator, signed(OWN, "RS256", "curved"))
    await is_refused(authenticator, signed(CURVED, "ES256", "one"))


@pytest.mark.parametrize(
    ("published", "key", "algorithm"),
    [
        pytest.param(
            {"kty": "oct", "k": _part(SECRET.encode()), "kid": "two"}, SECRET, "HS256", id="a shared secret"
        ),
        pytest.param(
            {"kty": "oct", "k": _part(SECRET.encode()), "kid": "two", "alg": "RS256"},
            SECRET,
            "HS256",
            id="a shared secret that pretends",
        ),
        pytest.param(jwk(OWN, "two", alg="RS512"), OWN, "RS256", id="a key for another algorithm"),
        pytest.param(jwk(OWN, "two", alg="none"), OWN, "RS256", id="a key for no algorithm"),
        pytest.param(jwk(OWN, "two", alg="ES256"), OWN, "RS256", id="a key of another kind"),
        pytest.param(jwk(CURVED, "two", alg="RS256"), CURVED, "ES256", id="a key of another kind, too"),
        pytest.param(jwk(OWN, "two", use="enc"), OWN, "RS256", id="a key to encrypt with"),
        pytest.param(
            {**RSAAlgorithm.to_jwk(OWN, as_dict=True), "kid": "two"}, OWN, "RS256", id="a private key"
        ),
        pytest.param(
            {**ECAlgorithm.to_jwk(ec_key(ec.SECP384R1()), as_dict=True), "kid": "two", "alg": "ES256"},
            CURVED,
            "ES256",
            id="a key on another curve",
        ),
        pytest.param(without(jwk(OWN, "two"), "n"), OWN, "RS256", id="a key without a number"),
        pytest.param({"kid": "two"}, OWN, "RS256", id="an object"),
        pytest.param("two", OWN, "RS256", id="a text"),
    ],
)
async def test_an_unusable_key_of_the_set_is_ignored(
    published: Any, key: Any, algorithm: str, issuer: Issuer, authenticator: Authenticator
) -> None:
    issuer.keys = [published, ONE]

    await is_refused(authenticator, signed(key, algorithm, "two"))
    assert (await authenticator.identify(signed(OWN, "RS256", "one"))).person.id == "alice"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_key_that_is_too_short_is_not_trusted(issuer: Issuer, authenticator: Authenticator) -> None:
    short = rsa_key(1024)
    issuer.keys = [ONE, jwk(short, "short")]

    await is_refused(authenticator, signed(short, "RS256", "short"))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_secret_that_is_too_short_is_not_trusted() -> None:
    await is_refused(checks(SigningKeys(["short"], "")), signed("short", "HS256", None))


async def test_an_unreachable_key_set_is_a_retryable_error(issuer: Issuer) -> None:
    authenticator = checks(SigningKeys([], issuer.url.replace("/keys", "/elsewhere")))

    with pytest.raises(Unavailable):
        await authenticator.identify(signed(OWN, "RS256", "one"))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'"keys"', b'{"keys": []}', b'{"keys": {}}', b'{"keys": [5]}', b"\xff", b"<html>"],
)
async def test_a_malformed_key_set_is_a_retryable_error(
    body: bytes, issuer: Issuer, authenticator: Authenticator
) -> None:
    issuer.body = body

    with pytest.raises(Unavailable):
        await authenticator.identify(signed(OWN, "RS256", "one"))


async def test_a_new_key_is_fetched_when_a_token_names_it(
    issuer: Issuer, authenticator: Authenticator, without_refetch_delay: None
) -> None:
    await authenticator.identify(signed(OWN, "RS256", "one"))
    issuer.keys = [ONE, jwk(ANOTHER, "two")]

    await authenticator.identify(signed(ANOTHER, "RS256", "two"))
    await authenticator.identify(signed(OWN, "RS256", "one"))

    assert issuer.requests == 2


async def test_a_key_removed_from_the_set_is_trusted_no_more(
    issuer: Issuer, trusted: SigningKeys, authenticator: Authenticator
) -> None:
    issuer.keys = [ONE, jwk(CURVED, "two")]
    old = await authenticator.identify(signed(OWN, "RS256", "one"))
    kept = await authenticator.identify(signed(CURVED, "ES256", "two"))
    issuer.keys = [jwk(ANOTHER, "one"), jwk(CURVED, "two")]

    await trusted.refresh()

    assert not authenticator.is_valid(old)
    assert authenticator.is_valid(kept)
    await is_refused(authenticator, signed(OWN, "RS256", "one"))
    assert (await authenticator.identify(signed(ANOTHER, "RS256", "one"))).person.id == "alice"


@pytest.mark.parametrize(("status", "body"), [(500, None), (200, b'{"keys": []}'), (200, b"<html>")])
async def test_known_keys_stay_trusted_while_the_issuer_fails(
    status: int, body: bytes | None, issuer: Issuer, trusted: SigningKeys, authenticator: Authenticator
) -> None:
    identity = await authenticator.identify(signed(OWN, "RS256", "one"))
    issuer.status, issuer.body = status, body

    with pytest.raises(Unavailable):
        await trusted.refresh()

    assert authenticator.is_valid(identity)
    assert (await authenticator.identify(signed(OWN, "RS256", "one"))).person.id == "alice"


async def test_unknown_key_ids_do_not_flood_the_issuer(issuer: Issuer, authenticator: Authenticator) -> None:
    await authenticator.identify(signed(OWN, "RS256", "one"))

    for number in range(50):
        await is_refused(authenticator, signed(ANOTHER, "RS256", f"random {number}"))

    assert issuer.requests == 1


async def test_unknown_key_ids_do_not_flood_a_failing_issuer(issuer: Issuer) -> None:
    issuer.status = 500
    authenticator = checks(SigningKeys([], issuer.url))

    asked = (authenticator.identify(signed(ANOTHER, "RS256", f"random {n}")) for n in range(50))
    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert {type(answer) for answer in answers} == {Unavailable}
    assert issuer.requests == 1


async def test_tokens_with_known_keys_are_checked_while_the_issuer_does_not_answer(
    issuer: Issuer, authenticator: Authenticator, without_refetch_delay: None
) -> None:
    await authenticator.identify(signed(OWN, "RS256", "one"))
    issuer.answering.clear()
    strangers = [
        asyncio.create_task(authenticator.identify(signed(ANOTHER, "RS256", f"random {n}")))
        for n in range(20)
    ]
    await eventually(lambda: issuer.requests == 2)

    async with asyncio.timeout(0.5):
        assert (await authenticator.identify(signed(OWN, "RS256", "one"))).person.id == "alice"

    issuer.answering.set()
    answers = await asyncio.gather(*strangers, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Unauthorized}


async def test_a_token_with_an_unsupported_algorithm_causes_no_fetch(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    for wrong in (signed(SECRET, "HS256", "two"), signed("", "none", "two"), signed(OWN, "PS256", "two")):
        await is_refused(authenticator, wrong)

    assert issuer.requests == 0


@pytest.mark.parametrize(
    ("claims", "trusted"),
    [
        ({"iss": "https://id.example", "aud": "parley"}, True),
        ({"iss": "https://id.example", "aud": ["other", "parley"]}, True),
        ({"iss": "https://mallory.example", "aud": "parley"}, False),
        ({"iss": "https://id.example", "aud": "other"}, False),
        ({"aud": "parley"}, False),
        ({"iss": "https://id.example"}, False),
    ],
)
async def test_a_token_must_have_the_configured_issuer_and_audience(
    claims: dict[str, Any], trusted: bool
) -> None:
    authenticator = checks(SigningKeys([SECRET], ""), "https://id.example", "parley")
    token = jwt.encode({"sub": "alice", "exp": 2**40, **claims}, SECRET, "HS256")

    if trusted:
        assert (await authenticator.identify(token)).person.id == "alice"
    else:
        await is_refused(authenticator, token)


async def test_a_signature_is_verified_once(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signed(OWN, "RS256", "one")
    first = await authenticator.identify(token)
    monkeypatch.setattr(jwt, "decode", None)

    assert await authenticator.identify(token) is first


async def test_a_public_key_is_refused_as_a_secret_each_time() -> None:
    authenticator = checks(SigningKeys([PUBLIC.decode()], ""))
    for _ in range(2):
        await is_refused(authenticator, signed(SECRET, "HS256", None))


async def test_a_token_that_was_verified_before_is_refused_once_its_key_is_withdrawn(
    issuer: Issuer, trusted: SigningKeys, authenticator: Authenticator, without_refetch_delay: None
) -> None:
    token = signed(OWN, "RS256", "one")
    await authenticator.identify(token)
    issuer.keys = [jwk(ANOTHER, "two")]
    await trusted.refresh()

    await is_refused(authenticator, token)


async def test_a_token_that_was_verified_before_is_refused_once_it_expires(
    authenticator: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signed(OWN, "RS256", "one")
    expires_at = (await authenticator.identify(token)).expires_at
    monkeypatch.setattr(auth, "time", lambda: expires_at)

    await is_refused(authenticator, token)


FORMER, NEXT = ("another shared secret that is long enough", "the next shared secret, long enough too")


async def test_tokens_of_the_previous_secret_are_accepted_until_it_is_removed() -> None:
    trusted = SigningKeys([SECRET, FORMER], "")
    authenticator = checks(trusted)
    present, former = [
        await authenticator.identify(signed(secret, "HS256", None)) for secret in (SECRET, FORMER)
    ]
    await is_refused(authenticator, signed(NEXT, "HS256", None))
    await trusted.replace([NEXT, SECRET], "")
    assert [authenticator.is_valid(each) for each in (present, former)] == [True, False]
    await authenticator.identify(signed(NEXT, "HS256", None))
    await is_refused(authenticator, signed(FORMER, "HS256", None))


async def test_an_expired_token_of_the_previous_secret_is_refused_as_expired() -> None:
    authenticator = checks(SigningKeys([SECRET, FORMER], ""))
    with pytest.raises(Unauthorized, match="has expired"):
        await authenticator.identify(signed(FORMER, "HS256", None, exp=1))


async def test_keys_that_cannot_be_fetched_replace_nothing(issuer: Issuer) -> None:
    trusted = SigningKeys([SECRET], "")
    authenticator = checks(trusted)
    identity = await authenticator.identify(signed(SECRET, "HS256", None))
    issuer.status = 500
    with pytest.raises(Unavailable):
        await trusted.replace([NEXT], issuer.url)
    assert authenticator.is_valid(identity)
    issuer.status = 200
    await trusted.replace([SECRET], issuer.url)
    assert not authenticator.is_valid(identity)
    await authenticator.identify(signed(OWN, "RS256", "one"))

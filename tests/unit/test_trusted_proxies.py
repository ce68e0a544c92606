"""A request's forwarded headers are believed if listed proxies sent them, and only then."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from parley.gateway.settings import Settings, check_networks
from parley.gateway.transport.trusted_proxies import TrustedProxies
from parley.shared.settings import SettingsError, load

NGINX, OUTER, CLIENT = "172.20.0.5", "10.1.0.9", "203.0.113.7"
PROXIES = TrustedProxies(["172.20.0.0/16"], ["10.1.0.0/16", "2001:db8::/32"])
FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "front.example"}


def request(sender: str, *forwarded: str, **more: str) -> web.Request:
    headers = CIMultiDict({"Host": "inner.example", **more})
    for line in forwarded:
        headers.add("X-Forwarded-For", line)
    return make_mocked_request("GET", "/", headers=headers).clone(remote=sender)


@pytest.mark.parametrize(
    ("sender", "forwarded", "address"),
    [
        (CLIENT, [], CLIENT),
        (CLIENT, ["6.6.6.6"], CLIENT),
        (NGINX, [CLIENT], CLIENT),
        (NGINX, [f"6.6.6.6, {CLIENT}"], CLIENT),
        (NGINX, [f"6.6.6.6, {CLIENT}, {OUTER}"], CLIENT),
        (NGINX, [f"6.6.6.6, {CLIENT}", OUTER], CLIENT),
        (NGINX, [f"{CLIENT}, 2001:db8::5, {OUTER}"], CLIENT),
        (OUTER, [CLIENT], CLIENT),
        (NGINX, [OUTER], OUTER),
        (NGINX, ["6.6.6.6, 172.20.0.77"], "172.20.0.77"),
        (NGINX, [], NGINX),
        (NGINX, ["nonsense"], NGINX),
        (NGINX, [f"{CLIENT}:4711"], CLIENT),
        (NGINX, ["[2001:dead:1:2::9]:443"], "2001:dead:1:2::/64"),
        (f"::ffff:{NGINX}", [f"::ffff:{CLIENT}"], CLIENT),
        ("2001:dead:1:2::9", ["6.6.6.6"], "2001:dead:1:2::/64"),
    ],
)
def test_the_client_is_the_last_address_before_the_listed_proxies(
    sender: str, forwarded: list[str], address: str
) -> None:
    assert PROXIES.address_of(request(sender, *forwarded)) == address


@pytest.mark.parametrize("sender", [NGINX, OUTER])
def test_the_scheme_and_the_host_of_a_listed_proxy_are_believed(sender: str) -> None:
    assert PROXIES.own_origin(request(sender, **FORWARDED)) == ("https", "front.example")


@pytest.mark.parametrize("sender", [CLIENT, "172.21.0.5", "nonsense", ""])
def test_the_scheme_and_the_host_of_other_senders_are_ignored(sender: str) -> None:
    assert PROXIES.own_origin(request(sender, **FORWARDED)) == ("http", "inner.example")


def test_no_header_is_believed_without_lists() -> None:
    nobody = TrustedProxies()
    assert nobody.address_of(request("127.0.0.1", CLIENT)) == "127.0.0.1"
    assert nobody.own_origin(request("127.0.0.1", **FORWARDED)) == ("http", "inner.example")


def test_only_an_nginx_on_the_same_machine_is_believed_by_default() -> None:
    settings = load(Settings, {})
    proxies = TrustedProxies(settings.nginx_networks, settings.trusted_proxies)
    assert proxies.address_of(request("127.0.0.1", f"6.6.6.6, {CLIENT}")) == CLIENT
    assert proxies.address_of(request("127.0.0.1", "6.6.6.6, 127.0.0.1")) == "127.0.0.1"
    assert proxies.address_of(request("10.0.0.1", CLIENT)) == "10.0.0.1"


@pytest.mark.parametrize("network", ["proxy.example", "10.0.0.0/33", "10.0.0", "*"])
def test_a_list_of_something_else_than_networks_is_refused_in_one_sentence(network: str) -> None:
    complaint = f"TRUSTED_PROXIES must list networks as 10.0.0.0/8 or addresses, not {network!r}."
    with pytest.raises(SettingsError) as caught:
        check_networks("trusted_proxies", ("10.0.0.0/8", network))
    assert str(caught.value) == complaint


def test_networks_are_listed_with_or_without_a_length() -> None:
    check_networks("trusted_proxies", ("10.0.0.0/8", "10.1.2.3/8", "192.0.2.1", "2001:db8::/32", "::1"))

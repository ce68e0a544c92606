"""Pages, their assets and the API documents are made once, whatever anybody asks for."""

import gzip
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from parley.gateway.web import pages

ASSET = pages.asset(b"{}" * 50_000, "application/json")


def body_of(**headers: str) -> Any:
    answer = pages.fresh(ASSET, make_mocked_request("GET", "/openapi.json", headers=headers))
    assert answer.headers["Vary"] == "Accept-Encoding"
    return answer.headers.get("Content-Encoding"), answer.body


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP;q=0.8"])
def test_an_asset_is_compressed_once_for_all_requests(accepted: str) -> None:
    (encoding, first), (_, second) = (body_of(**{"Accept-Encoding": accepted}) for _ in range(2))
    assert encoding == "gzip"
    assert first is second
    assert gzip.decompress(first) == ASSET.body


@pytest.mark.parametrize("accepted", ["identity", "br", "deflate", ""])
def test_an_asset_is_not_compressed_for_a_client_that_takes_no_gzip(accepted: str) -> None:
    encoding, body = body_of(**{"Accept-Encoding": accepted})
    assert encoding is None
    assert body is ASSET.body

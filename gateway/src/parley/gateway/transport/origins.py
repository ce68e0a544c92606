"""The web pages whose scripts may open sockets: the gateway's own, and those of the listed origins."""

from collections.abc import Collection

from aiohttp import hdrs, web
from multidict import CIMultiDict

METHODS = "OPTIONS, GET, POST"


class AllowedOrigins:
    """Decides by the Origin header, which only browsers send: other programs are let in.

    Args:
        listed: origins besides the gateway's own, such as `https://chat.example:8443`.
    """

    def __init__(self, listed: Collection[str] = ()) -> None:
        self._listed = frozenset(listed)

    def allows(self, request: web.Request) -> bool:
        """Return whether a request comes from an allowed page or from no browser."""
        origin = request.headers.get(hdrs.ORIGIN)
        return not origin or origin in self._listed or origin in _own_origins(request)

    def response_headers(self, request: web.Request) -> CIMultiDict[str]:
        """Return the CORS headers of a response; a page that is not allowed may read nothing."""
        headers = CIMultiDict({hdrs.VARY: str(hdrs.ORIGIN)})
        origin = request.headers.get(hdrs.ORIGIN)
        if not origin or not self.allows(request):
            return headers
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
        if request.method == hdrs.METH_OPTIONS:
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = METHODS
        if hdrs.ACCESS_CONTROL_REQUEST_HEADERS in request.headers:
            wanted = request.headers[hdrs.ACCESS_CONTROL_REQUEST_HEADERS]
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted
        return headers


def _own_origins(request: web.Request) -> set[str]:
    """Return the origins that this request was addressed to, here and at the proxy in front."""
    host = request.headers.get(hdrs.HOST, "")
    scheme = _first(request.headers.get(hdrs.X_FORWARDED_PROTO, "http"))
    forwarded = _first(request.headers.get(hdrs.X_FORWARDED_HOST, host))
    return {f"{scheme}://{host}", f"{scheme}://{forwarded}"}


def _first(header: str) -> str:
    return header.partition(",")[0].strip()

"""The web pages whose scripts may open sockets: the gateway's own, and those of the listed origins."""

from collections.abc import Collection

from aiohttp import hdrs, web
from multidict import CIMultiDict

from parley.gateway.transport.trusted_proxies import TrustedProxies

METHODS = "OPTIONS, GET, POST"
OF_WEBSOCKETS = {"ws": "http", "wss": "https"}
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def normalized(origin: str) -> str:
    """Return an origin as browsers write it: of HTTP, not of websockets, and without a default port."""
    scheme, separator, host = origin.strip().lower().partition("://")
    scheme = OF_WEBSOCKETS.get(scheme, scheme)
    return f"{scheme}{separator}{host.removesuffix(DEFAULT_PORTS.get(scheme, ''))}"


class AllowedOrigins:
    """Decides by the Origin header, which only browsers send: other programs are let in.

    Args:
        listed: origins besides the gateway's own, such as `https://chat.example:8443`.
        proxies: tell which origin is the gateway's own.
    """

    def __init__(self, listed: Collection[str] = (), proxies: TrustedProxies | None = None) -> None:
        self._listed = frozenset(map(normalized, listed))
        self._proxies = proxies or TrustedProxies()

    def allows(self, request: web.Request) -> bool:
        """Return whether a request comes from an allowed page or from no browser."""
        origin = request.headers.get(hdrs.ORIGIN)
        return not origin or self.lists(origin) or normalized(origin) in self._own_origins(request)

    def lists(self, origin: str) -> bool:
        """Return whether an origin is one of the listed ones."""
        return normalized(origin) in self._listed

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

    def _own_origins(self, request: web.Request) -> set[str]:
        """Return the origins that this request was addressed to, here and at the proxy in front."""
        scheme, forwarded = self._proxies.own_origin(request)
        host = request.headers.get(hdrs.HOST, "")
        return {normalized(f"{scheme}://{host}"), normalized(f"{scheme}://{forwarded}")}

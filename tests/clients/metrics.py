"""The values of metrics, as Prometheus reads them."""

import re

import aiohttp


async def figures(urls: list[str], name: str) -> list[float]:
    """Return each service's value of a metric; 0 where the metric does not exist yet."""
    found = []
    async with aiohttp.ClientSession() as http:
        for url in urls:
            async with http.get(f"{url}/metrics") as answer:
                value = re.search(rf"^{re.escape(name)} (\S+)$", await answer.text(), re.M)
            found.append(float(value[1]) if value else 0.0)
    return found

"""REST: the paths that vocabularies serve, mounted on aiohttp."""

"""REST: the protocols' routes and attachments, served by aiohttp."""

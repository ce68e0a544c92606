"""The chat page and the /docs page: static files, and the routes that serve them."""

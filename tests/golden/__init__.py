"""Bytes that each version writes, kept so that later versions are held to reading them."""

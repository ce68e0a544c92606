"""API documents: OpenAPI and AsyncAPI, generated from the protocols' tables."""

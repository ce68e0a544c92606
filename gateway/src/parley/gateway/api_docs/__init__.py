"""What the gateway says of itself: OpenAPI and AsyncAPI, made from the tables that run."""

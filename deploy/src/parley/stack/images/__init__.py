"""Parley's images: an engine that builds and runs them, and base images where no registry is reached."""

"""Adapters to S3."""

"""Shared by both services: values, wire formats, partitions, documents."""

"""Adapters to RabbitMQ."""

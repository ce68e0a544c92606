"""The persistence worker: takes records off RabbitMQ, stores and counts them, announces events."""

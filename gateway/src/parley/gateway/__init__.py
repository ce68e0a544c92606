"""The gateway: sockets and REST in front, records to RabbitMQ, events from Redis."""

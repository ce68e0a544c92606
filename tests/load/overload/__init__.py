"""Throughput and delays from little load to overload."""

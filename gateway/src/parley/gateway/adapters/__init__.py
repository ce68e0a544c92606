"""The ports, on real drivers: one driver a module."""

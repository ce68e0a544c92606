"""Changes of the number of partitions while the services run."""

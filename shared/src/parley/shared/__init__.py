"""What both of Parley's services need: values, wire formats, partitions, documents."""

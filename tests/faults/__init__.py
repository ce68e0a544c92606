"""The table of faults: what is broken under load, and what users may see of it."""

"""`parley backup` and `parley restore`: the stored data of one point in time, in one file."""

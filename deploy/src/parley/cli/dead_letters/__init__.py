"""`parley dead-letters`: list, show, replay and drop the records that could not be stored."""

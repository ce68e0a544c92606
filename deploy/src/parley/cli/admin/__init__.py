"""`parley admin`: the admin page, served by a process of its own at an origin of its own."""

"""The operators' command: `parley`."""

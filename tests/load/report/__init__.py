"""The report of a load: figures as JSON, and a page with pictures."""

"""Services: what each command does."""

"""The search index: filled from the stored messages, beside their way."""

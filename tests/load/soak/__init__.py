"""Clients that connect and vanish for minutes, and what they leave behind."""

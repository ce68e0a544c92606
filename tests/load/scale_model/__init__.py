"""The costs of users in each part, measured in small and calculated for large systems."""

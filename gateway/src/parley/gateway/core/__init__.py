"""The values and ports of a gateway, free of protocols and drivers."""

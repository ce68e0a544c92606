"""Engine.IO and Socket.IO on aiohttp: requests, sessions, frames, packets, origins."""

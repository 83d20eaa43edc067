"""The HTTP door: what every request passes before a gateway sees it, and where each path leads."""

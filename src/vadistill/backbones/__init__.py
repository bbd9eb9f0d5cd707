"""Pre-trained networks that turn pictures into features."""

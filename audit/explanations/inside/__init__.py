"""What channels, layers and attention heads respond to."""

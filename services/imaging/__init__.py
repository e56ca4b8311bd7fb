"""From bytes that came from outside to pixels for a model, safely (Pillow and numpy, no torch)."""

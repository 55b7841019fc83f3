"""Network specifications and layers."""

"""Speed, memory and distance to the truth: measured, never asserted. Not part of the package."""

"""From settings to parts: what a run consists of, read from file, environment and flags."""

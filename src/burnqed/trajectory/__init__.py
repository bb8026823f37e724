"""The record of every search, as it happened."""

"""The energy head and, later, its training together with the language model."""

"""Models in this process: loading, tokenizing, sampling, pooling. The only part besides joint and serve that knows torch."""

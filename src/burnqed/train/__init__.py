"""Training: rows into batches, a model with its LoRA, steps that can be killed and resumed, cards, and what fits in memory."""

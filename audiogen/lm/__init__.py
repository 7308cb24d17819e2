"""The token language model: tokens and text -> logits -> tokens."""

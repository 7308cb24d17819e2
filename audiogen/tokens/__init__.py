"""Codes [B, K, T] and the sequences [B, K, S] a language model reads them in."""

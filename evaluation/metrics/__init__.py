"""The math of the scores: a function and a torchmetrics.Metric each; no networks inside."""

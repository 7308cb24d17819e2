"""The parts of a model folder: its layout, its card, its hub, and how it is replaced whole."""

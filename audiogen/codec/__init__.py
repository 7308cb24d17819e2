"""Waveform to codes and back: the neural codec, its losses and its discriminator."""

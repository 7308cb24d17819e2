"""Folders of models: our layout, the card, the hub, how one is replaced whole, how it is built."""

"""Recipes: results, each with the command that makes it."""

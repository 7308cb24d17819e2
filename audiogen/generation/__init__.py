"""The parts of the pipeline: stages, settings, windows of long sounds, streaming."""

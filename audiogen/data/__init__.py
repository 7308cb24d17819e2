"""From raw sound to examples: manifests, crops of sound, shards of codes."""

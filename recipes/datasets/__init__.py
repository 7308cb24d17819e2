"""One file per data set: what people download, or have, to a manifest."""

"""What the report of a demo run is made of: one module per section, and the template."""

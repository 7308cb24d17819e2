"""What the health page of a codec is made of."""

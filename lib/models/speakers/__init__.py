"""Networks that tell who speaks."""

"""What reward terms are built of."""

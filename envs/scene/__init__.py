"""What scenes are built of: the arm, its table, parts and mechanisms."""

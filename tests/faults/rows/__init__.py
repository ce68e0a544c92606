"""What the rows of the table do."""

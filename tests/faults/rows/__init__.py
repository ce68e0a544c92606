"""The actions of the table's rows."""

"""The fault table: faults that are caused under load, and the effects that users may see."""

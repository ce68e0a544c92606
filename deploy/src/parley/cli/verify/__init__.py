"""`parley verify`: recount what MongoDB holds, and repair what can be repaired safely."""

"""The guide's six typed configs: reading, checking, editing, overlaying them. Beside history; imports the ground only."""

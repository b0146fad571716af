"""What a report says, as plain data: facts, sections, findings with remedies; its figures drawn once."""

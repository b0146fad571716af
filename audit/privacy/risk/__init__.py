"""Who is at risk: groups, people, and who would be next."""

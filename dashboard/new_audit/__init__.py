"""The page that writes a spec and starts it: a form made from the spec's schema, and what it started."""

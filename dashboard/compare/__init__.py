"""The page that holds runs against each other."""

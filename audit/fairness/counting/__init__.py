"""Examples counted once: cells, tallies, and the rows they are counted from."""

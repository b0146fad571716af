"""Would the answer have been another, had the person been another? Pairs that differ in a group alone."""

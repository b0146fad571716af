"""Every intersection of attributes looked at, and what may be said after having looked at all."""

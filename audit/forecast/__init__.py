"""What a spec would do, said before anything is trained: which checks run, which cannot, how long."""

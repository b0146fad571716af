"""Attacks on images and on feature vectors in a box, one file each; `attack` is what they share."""

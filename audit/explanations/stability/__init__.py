"""Does a map survive an attack on the input, or on the map itself?"""

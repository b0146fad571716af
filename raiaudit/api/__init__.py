"""What Python programs call: one function a room, each offered by `raiaudit` itself (`raiaudit.attack`).

They put plain arrays and modules into the form the rooms work on and hand back what the rooms return; there
is no arithmetic here. Each module's docstring holds an example, which docs/reference/python.md shows.
"""

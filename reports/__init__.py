"""Documents made from a finished run: PDF, Markdown, JUnit. Never touches a model."""

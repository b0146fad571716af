"""A finished run as files and on a terminal: PDF, Markdown, JUnit, SARIF, tables, model card."""

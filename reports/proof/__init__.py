"""Whether documents are what they were, and who answers for them: verification and signatures."""

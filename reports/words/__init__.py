"""How things are said: names of measures, verdicts beside maps, citations, letters that fonts can show."""

"""The check `explanations.attribution`: maps by several methods, judged, and what they say together."""

from raiaudit.audit.explanations.attribution.attribution import Attribution, AttributionConfig

__all__ = ["Attribution", "AttributionConfig"]

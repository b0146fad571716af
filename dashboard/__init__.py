"""Streamlit pages over finished and running runs. Never touches a model."""

"""The engine of Lightbox: data, methods, runs, artifacts, measures. It imports neither streamlit
nor plotly.
"""

__version__ = "0.1.0"

"""Data as pictures: windows, orientation, colours, traces."""

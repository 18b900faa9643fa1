"""For those who run a server: its figures for Prometheus, and whether it is well.

`checks` looks at catalogue, disk and supervisor of each workspace; `metrics` writes the figures;
`routes` answers for both, to administrators.
"""

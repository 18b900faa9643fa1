"""Data that comes with Lightbox: public sets and generated ones."""

"""Experiments that a config describes, made of components."""

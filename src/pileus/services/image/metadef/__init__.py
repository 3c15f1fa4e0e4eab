"""Metadata definitions: what properties of images, flavors and the like are called, and which values they take."""

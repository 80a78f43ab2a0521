"""Draws heatmaps and labels onto frames."""

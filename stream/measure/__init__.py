"""Measures how faithful heatmaps are: whether the hot places are those that the network's answer depends on."""

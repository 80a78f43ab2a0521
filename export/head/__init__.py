"""The CAM head: finds a classifier's tail and appends the closed-form Grad-CAM to its graph."""

"""Teaching: a model's last layer is learned anew from examples of the user's own classes."""

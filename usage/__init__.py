"""Where usage records go."""

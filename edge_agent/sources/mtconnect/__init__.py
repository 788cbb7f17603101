"""Machine tools behind an MTConnect agent."""

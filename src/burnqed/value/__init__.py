"""ValueFn implementations: how provable a state looks."""

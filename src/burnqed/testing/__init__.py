"""Stand-ins for the ports, for tests of burnqed and of what people build on it."""

"""Model servers: a policy server and an encode server."""

"""How a proof state is put to a model. Training, serving and embedding all go through here."""

"""TacticPolicy implementations: who proposes tactics."""

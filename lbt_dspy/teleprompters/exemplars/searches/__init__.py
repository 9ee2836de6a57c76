"""The searches of M3: by credit, by beam, by an Optuna study."""

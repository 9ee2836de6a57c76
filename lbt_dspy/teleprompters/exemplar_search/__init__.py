"""How M3 looks for exemplars: the searches (beam, utility, tpe), and the moves that they share."""

"""What the documentation site shows and nobody wrote by hand: measurements, facts, pictures."""

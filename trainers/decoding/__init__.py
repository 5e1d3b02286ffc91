"""From what a model says to sequences: decoder, CTC, beam search."""

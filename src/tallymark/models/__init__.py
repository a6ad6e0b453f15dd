"""Networks behind one interface: an image in, a logit per structure and a reconstructed image out."""

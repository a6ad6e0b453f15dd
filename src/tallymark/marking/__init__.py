"""The marking page: a person marks one image after the other in a browser, and no stroke is ever lost."""

"""Every task, written once for all families as a short sentence of `dalle2.verbs`; `UnclipModel` lists them."""

"""Files of a checkpoint, judged before anything is built from them."""

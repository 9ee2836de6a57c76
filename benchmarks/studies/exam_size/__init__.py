"""An exam of the paper's size on one machine."""

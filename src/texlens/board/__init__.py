"""The workbench in the browser: start, watch and compare runs, look at data, correct and learn."""

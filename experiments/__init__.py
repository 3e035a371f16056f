"""The command `hograd`: experiments described in YAML, run into a folder."""

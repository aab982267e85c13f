"""What the pages show: plain values, ready to be rendered, by who reads them. Read only."""

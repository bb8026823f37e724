"""Pages of HTML and Markdown without script or network, and the charts in them."""

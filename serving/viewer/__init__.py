"""The pages of the web viewer: HTML, style and scripts as they are sent; `vendor` holds libraries as npm has them."""

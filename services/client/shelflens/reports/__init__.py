"""What became of an import, for people: its rejections, and a page with pictures of them."""

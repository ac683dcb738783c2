"""What the site is made of beside its written pages: pages from code and from published data, blocks, pictures."""

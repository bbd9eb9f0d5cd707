"""The docs site's pages that are made of the code.  Imports all rooms; nothing imports it."""

"""Work on uploaded files in processes of their own."""

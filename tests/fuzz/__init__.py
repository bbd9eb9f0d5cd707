"""Every reader of files on mutated inputs: what is read makes sense, or one line says why not.

``python -m fuzz`` (with tests/ and src/ on PYTHONPATH) runs as many as one likes; an input is made
again from its seed and number alone.  ``corpus/READER/valid`` holds what is mutated, and
``corpus/READER/refused`` what was once read wrong or broke a reader.
"""

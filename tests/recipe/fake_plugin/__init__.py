"""A plugin of options without code: every kind of component that the methods on paper name, to test the grammar."""

"""The rules: scores → levels → a decision. Standard library only, no clock, no input or output."""

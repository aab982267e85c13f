"""The database's schema, step by step. Applied by `lti-tool db upgrade`."""

"""A new run before it starts: settings from a form, the plan, a preview of rows."""

"""Parts shared by all docks: jobs, widgets, forms, session."""

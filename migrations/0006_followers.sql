-- Whether a worker takes over what the registry promotes; NULL from a worker of an earlier version.
ALTER TABLE workers ADD COLUMN follows_registry boolean;

"""Pictures over HTTP: `onestroke serve`."""

"""The console's browser libraries: their lock file, and what installs them."""

"""What the site counts on, a module for each chapter of the documentation."""

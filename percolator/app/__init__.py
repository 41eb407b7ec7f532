"""The roof: joins the wings to one service, from the settings to the routes and the exit code."""

"""The networks (torch): stateless modules, their similarity functions and losses."""

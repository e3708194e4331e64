"""How each family of distributions speaks.  Pure: facts and Commands."""

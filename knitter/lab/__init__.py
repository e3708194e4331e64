"""The cloud on a desk: moto's API, corrected where it is not like AWS, and a block store."""

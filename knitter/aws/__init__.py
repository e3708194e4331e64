"""The only room that speaks to AWS.  Plain values in, plain values out; knows no recipe."""

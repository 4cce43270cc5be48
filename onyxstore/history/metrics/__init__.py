"""The metric log: records, the line each is written as, the live tail, sealed segments, and the curves read from them."""

"""The networks that the benchmarks run, and the engines that run them."""

//! A double of k6-operator v1.6, flaws included.

fn main() {}

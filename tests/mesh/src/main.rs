//! A service mesh with a real envoy, shaped like linkerd or istio.

fn main() {}

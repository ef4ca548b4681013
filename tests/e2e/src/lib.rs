//! End-to-end tests of Curfew on a real Kubernetes.

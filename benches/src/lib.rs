//! Criterion benches of `concourse`; each one checks its own answer before it reports a time.

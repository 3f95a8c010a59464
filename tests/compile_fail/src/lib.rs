//! Programs that must not compile: `cases/*.rs`, each beside what the compiler says of it.
//!
//! What a type forbids is a promise as any other, and a change that lets it through would break no other test. Each case
//! holds one promise, in as few lines as it takes, so that what is said of it is short.
//!
//! The words are those of the compiler that the tests were last run with: Rust 1.95. Another one may say the same in other
//! words. Then `TRYBUILD=overwrite cargo test -p concourse-compile-fail` writes down what it says, and whoever does that
//! looks through the difference for the same codes at the same lines. A case that compiles fails in any case.

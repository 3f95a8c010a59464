//! x
#![allow(dead_code, unused_imports)]
mod client;
mod config;
mod crash;
mod failure;
mod home;
mod op;
mod plan;
#[cfg(test)]
mod scratch;
mod server;
mod store;
mod text;
mod verify;
mod wire;
fn main() {}

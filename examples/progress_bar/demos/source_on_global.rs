//! Demo 2: a source that delivers to the global queue, where its producers work too. The handler runs on any thread, but
//! never twice at a time.

use super::Journal;
use super::Outcome;
use super::coalescing;
use super::coalescing::Producers;
use concourse::Qos;
use concourse::Runtime;
use std::time::Duration;

pub(crate) fn play(runtime: &Runtime, journal: &Journal) -> Outcome<()> {
    for producers in [Producers::One, Producers::Hundred] {
        coalescing::run(runtime, journal, &runtime.global(Qos::Default), producers, Duration::ZERO)?;
    }
    Ok(())
}

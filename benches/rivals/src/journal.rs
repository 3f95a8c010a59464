//! Every measurement as a line of JSON.

use crate::row::Sample;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Where the lines go, if anywhere.
pub(crate) struct Journal(Option<File>);

impl Journal {
    pub(crate) fn create(path: Option<&Path>) -> io::Result<Self> {
        Ok(Self(path.map(File::create).transpose()?))
    }

    /// Writes what was measured, an object, together with the figures.
    pub(crate) fn write(&mut self, mut measured: Value, metrics: &[&str], sample: &Sample) -> io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        let figures: Map<_, _> =
            metrics.iter().zip(sample).map(|(metric, figure)| (metric.to_string(), json!(figure))).collect();
        measured["figures"] = Value::Object(figures);
        writeln!(file, "{measured}")
    }
}

//! A picture of what depends on what.

use super::record::Edge;
use super::record::Need;
use super::record::Record;
use super::station::Station;
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The graph in the language of Graphviz.
pub(super) fn dot(station: &Arc<Station>) -> String {
    let mut records = station.unfinished();
    // The names of nodes are places here: those of addresses would be others each time.
    let place = |record: &Arc<Record>| Arc::as_ptr(record).addr();
    let mut places: BTreeMap<_, _> = records.iter().map(place).zip(0..).collect();
    let mut arrows = BTreeSet::new();
    let mut next = 0;
    while let Some(record) = records.get(next).cloned() {
        let behind = |on| Edge { on, need: Need::End };
        let ahead = record.station.next_ahead(record.number).into_iter().map(behind);
        for Edge { on, need } in record.dependencies().into_iter().chain(ahead) {
            let from = *places.entry(place(&on)).or_insert_with(|| {
                records.push(Arc::clone(&on));
                records.len() - 1
            });
            arrows.insert((from, next, need == Need::End));
        }
        next += 1;
    }
    let mut text = format!("digraph {} {{\n    rankdir=LR;\n    node [shape=box];\n", quoted(&station.label));
    for (number, record) in records.iter().enumerate() {
        let of = if Arc::ptr_eq(&record.station, station) { "" } else { &format!("{}: ", record.station.label) };
        let label = quoted(&format!("{of}{}\n{:?}", record.label, record.state()));
        // Writing into a text cannot fail.
        let _ = writeln!(text, "    n{number} [label={label}];");
    }
    for (from, to, whatever) in arrows {
        let style = if whatever { " [style=dashed]" } else { "" };
        let _ = writeln!(text, "    n{from} -> n{to}{style};");
    }
    text + "}\n"
}

fn quoted(label: &str) -> String {
    format!("\"{}\"", label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

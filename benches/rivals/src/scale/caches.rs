//! Where the processor's caches end.

use std::fs;

/// The end of a cache.
pub(crate) struct End {
    pub(crate) cache: String,
    /// How many things of a footprint fill it.
    pub(crate) amount: u64,
}

/// How many things of so many bytes fill each of the first processor's data caches, the smallest first. None if they take
/// nothing, or where the kernel does not tell.
pub(super) fn ends(footprint: u64) -> Vec<End> {
    let mut ends: Vec<_> = (0..8)
        .filter_map(cache)
        .filter_map(|(cache, size)| Some(End { cache, amount: size.checked_div(footprint)? }))
        .collect();
    ends.sort_by_key(|end| end.amount);
    ends
}

/// A data cache's name and its size in bytes.
fn cache(index: u32) -> Option<(String, u64)> {
    let read = |what| {
        let text = fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}")).ok()?;
        Some(text.trim().to_owned())
    };
    let kibibytes: u64 = read("size")?.strip_suffix('K')?.parse().ok()?;
    (read("type")? != "Instruction").then_some((format!("L{}", read("level")?), kibibytes * 1024))
}

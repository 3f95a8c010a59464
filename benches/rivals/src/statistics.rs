//! Medians, ranges and percentiles.

/// What several measurements of the same thing say.
#[derive(Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

/// Panics if there are no values.
pub(crate) fn summary(values: impl IntoIterator<Item = f64>) -> Summary {
    let mut values: Vec<f64> = values.into_iter().collect();
    Summary {
        least: percentile(&mut values, 0.0),
        median: percentile(&mut values, 0.5),
        most: percentile(&mut values, 1.0),
    }
}

/// The value below which `part` of all values lie. Sorts them. Panics if there are none.
pub(crate) fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::{percentile, summary};

    #[test]
    fn the_median_stands_between_the_ends() {
        let of = summary([5.0, 1.0, 3.0]);
        assert_eq!([of.least, of.median, of.most], [1.0, 3.0, 5.0]);
        assert_eq!(percentile(&mut (0..=100).map(f64::from).collect::<Vec<_>>(), 0.99), 99.0);
    }
}

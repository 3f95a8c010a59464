//! Fields of a 64-bit word, derived from each other and never typed as masks.

/// A run of bits in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    shift: u32,
    width: u32,
}

impl Field {
    /// The lowest `width` bits of a word.
    pub(crate) const fn lowest(width: u32) -> Self {
        Self { shift: 0, width }
    }

    /// The `width` bits above this field.
    pub(crate) const fn above(self, width: u32) -> Self {
        Self { shift: self.end(), width }
    }

    /// The first bit above this field.
    pub(crate) const fn end(self) -> u32 {
        self.shift + self.width
    }

    /// The field's value 1, in place.
    pub(crate) const fn one(self) -> u64 {
        1 << self.shift
    }

    /// The largest value that fits.
    pub(crate) const fn max(self) -> u64 {
        u64::MAX >> (u64::BITS - self.width)
    }

    /// All bits of the field, in place.
    pub(crate) const fn mask(self) -> u64 {
        self.max() << self.shift
    }

    /// The field's value in `word`.
    pub(crate) const fn get(self, word: u64) -> u64 {
        (word >> self.shift) & self.max()
    }

    /// `value`, in place. It must fit.
    pub(crate) const fn put(self, value: u64) -> u64 {
        debug_assert!(value <= self.max());
        value << self.shift
    }
}

#[cfg(all(test, not(any(concourse_loom, concourse_shuttle))))]
mod tests {
    use super::Field;

    #[test]
    fn fields_stand_side_by_side_and_keep_their_values() {
        const LOW: Field = Field::lowest(4);
        const MIDDLE: Field = LOW.above(18);
        const HIGH: Field = MIDDLE.above(42);
        assert_eq!((LOW.end(), MIDDLE.end(), HIGH.end()), (4, 22, 64));
        assert_eq!(LOW.mask() ^ MIDDLE.mask() ^ HIGH.mask(), u64::MAX);
        let word = LOW.put(9) | MIDDLE.put(MIDDLE.max()) | HIGH.put(5);
        assert_eq!((LOW.get(word), MIDDLE.get(word), HIGH.get(word)), (9, (1 << 18) - 1, 5));
        assert_eq!(HIGH.one(), 1 << 22);
    }
}

//! The two hash functions, and the digest both of them end in.

use clap::ValueEnum;
use sha2::Digest as _;
use std::fmt;

/// Which function to hash with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Algorithm {
    /// What `b3sum` computes.
    #[default]
    Blake3,
    /// What `sha256sum` computes.
    Sha256,
}

impl Algorithm {
    /// A hasher that has seen nothing.
    pub(crate) fn hasher(self) -> Hasher {
        match self {
            Self::Blake3 => Hasher::Blake3(Box::default()),
            Self::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
        }
    }
}

/// A digest on its way.
pub(crate) enum Hasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(sha2::Sha256),
}

impl Hasher {
    pub(crate) fn update(&mut self, chunk: &[u8]) {
        match self {
            Self::Blake3(hasher) => drop(hasher.update(chunk)),
            Self::Sha256(hasher) => hasher.update(chunk),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Blake3(hasher) => Digest(*hasher.finalize().as_bytes()),
            Self::Sha256(hasher) => Digest(hasher.finalize().into()),
        }
    }
}

/// 256 bits, written as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// Reads 64 hexadecimal digits of either case; anything else is no digest.
    pub(crate) fn from_hex(hex: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = u8::try_from(char::from(pair[0]).to_digit(16)? << 4 | char::from(pair[1]).to_digit(16)?).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(algorithm: Algorithm, chunks: &[&[u8]]) -> String {
        let mut hasher = algorithm.hasher();
        chunks.iter().for_each(|chunk| hasher.update(chunk));
        hasher.finish().to_string()
    }

    #[test]
    fn digests_are_those_of_the_published_vectors() {
        assert_eq!(digest(Algorithm::Blake3, &[]), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(digest(Algorithm::Sha256, &[]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(
            digest(Algorithm::Sha256, &[b"a", b"bc"]),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn chunk_boundaries_do_not_change_a_digest() {
        let whole: Vec<u8> = (0..10_000_u32).map(|i| i as u8).collect();
        for algorithm in [Algorithm::Blake3, Algorithm::Sha256] {
            let (left, right) = whole.split_at(4097);
            assert_eq!(digest(algorithm, &[&whole]), digest(algorithm, &[left, right]));
        }
    }

    #[test]
    fn a_digest_is_read_back_from_its_text() {
        let digest = Algorithm::Blake3.hasher().finish();
        let text = digest.to_string();
        assert_eq!(Digest::from_hex(text.as_bytes()), Some(digest));
        assert_eq!(Digest::from_hex(text.to_uppercase().as_bytes()), Some(digest));
        assert_eq!(Digest::from_hex(&text.as_bytes()[1..]), None);
        assert_eq!(Digest::from_hex(text.replace('a', "g").as_bytes()), None);
    }
}

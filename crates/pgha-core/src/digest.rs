//! SHA-256 digests, written as hexadecimal digits.

use std::cmp::Ordering;
use std::fmt;
use std::hash;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Number of digits that are compared. A label of Hetzner Cloud holds at most 63 characters
/// (docs.hetzner.cloud, Labels), too few for a whole digest. 160 bits are as many as Git compares.
const COMPARED: usize = 40;

/// A SHA-256 digest of 64 hexadecimal digits, or its first digits. Two are equal if their first 40
/// digits are. [`Digest::short`] is the form for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.raw(bytes);
        hasher.finish()
    }

    /// The first eight hexadecimal digits.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }

    /// Its first 40 hexadecimal digits, which identify it.
    pub fn id(&self) -> &str {
        self.0.get(..COMPARED).unwrap_or(&self.0)
    }

    /// The same, cut to the digits that are compared. Labels and plans hold this form.
    #[must_use]
    pub fn compared(&self) -> Self {
        Self(self.id().to_owned())
    }

    /// All its digits: 64, unless it was read from a label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Digest {}

impl PartialOrd for Digest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Digest {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id().cmp(other.id())
    }
}

impl hash::Hash for Digest {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Digest {
    fn from(hex: String) -> Self {
        Self(hex)
    }
}

/// Builds a digest of several parts. Each part is preceded by its length, so `ab` + `c` differs
/// from `a` + `bc`.
#[derive(Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds one part.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.raw(bytes)
    }

    /// Adds bytes without their length, for one long stream.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

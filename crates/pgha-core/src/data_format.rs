//! The software that wrote the files on a data volume. An image that differs in it cannot take
//! these files over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The part of an image that data on disk depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFormat {
    /// Major version of PostgreSQL: another one cannot read the files.
    pub postgresql: u16,
    /// The libraries that sort text, with their versions, such as `libc6-2.41_libicu76-76.1`, or
    /// `glibc-2.42_icu-76.1` on NixOS. With other versions, indexes that use their collations are
    /// out of order, and PostgreSQL only warns (ALTER COLLATION, Notes).
    pub collations: String,
}

impl DataFormat {
    /// The data format of an image with these packages. Only upstream versions count: a
    /// distribution's patches do not change how a library sorts.
    pub fn of(postgresql: u16, versions: &BTreeMap<String, String>) -> Self {
        let sorts =
            |name: &str| matches!(name, "libc6" | "glibc" | "icu") || name.starts_with("libicu");
        let libraries = versions.iter().filter(|(name, _)| sorts(name));
        // Only characters that a label may hold: Debian's versions also have `~` and `+`.
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '.';
        let upstream = |version: &str| {
            let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
            upstream.replace(|c| !fits(c), ".")
        };
        let collations = libraries
            .map(|(name, version)| format!("{name}-{}", upstream(version)))
            .collect::<Vec<_>>()
            .join("_");
        Self { postgresql, collations }
    }
}

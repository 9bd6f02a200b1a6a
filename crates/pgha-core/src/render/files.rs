//! Files of an image.

use std::collections::BTreeMap;

use crate::digest::{Digest, Hasher};

/// One file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its content.
    pub content: String,
    /// Whether it may be executed.
    pub executable: bool,
}

/// Files by their path below `/`. All belong to root and are readable by everyone: an image holds
/// no secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree(pub BTreeMap<String, File>);

impl Tree {
    /// The digest over every path, mode and content.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        for (path, file) in &self.0 {
            hasher
                .part(path.as_bytes())
                .part(&[u8::from(file.executable)])
                .part(file.content.as_bytes());
        }
        hasher.finish()
    }

    pub(super) fn insert(&mut self, path: &str, content: String) {
        let executable = content.starts_with("#!");
        self.0.insert(path.to_owned(), File { content, executable });
    }
}
